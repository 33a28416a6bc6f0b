"""Relays gRPC calls to a buildbox-casd, and counts their bytes.

    relay.py SOCKET PORT LOG

casd listens on SOCKET. The relay listens on 127.0.0.1:PORT, or on a free port if PORT is 0,
and prints the port. At the end of each call it appends a line to LOG: the method, the bytes of
the requests and the bytes of the responses.

The relay has two more purposes. casd reports that it supports no version of the API before
2.1, but Bazel 7 uses 2.0. The relay reports 2.0: nothing that Bazel uses has changed since. And
while casd is down, calls fail but the connection stays, as behind a load balancer.
"""

import concurrent.futures
import signal
import sys

import grpc

# low_api_version (4) = SemVer {major (1) = 2, minor (2) = 0}. Two concatenated
# messages are one message, in which the last value of a field counts.
SPEAKS_2_0 = b"\x22\x04\x08\x02\x10\x00"
CAPABILITIES = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities"


class Relay(grpc.GenericRpcHandler):
    def __init__(self, channel, log):
        self.channel = channel
        self.log = log

    def service(self, call):
        def forward(requests, context):
            return self.forward(call.method, requests, context)

        # Any call can be handled as a stream in each direction, and any message as bytes.
        return grpc.stream_stream_rpc_method_handler(forward)

    def forward(self, method, requests, context):
        sent = received = 0

        def counted():
            nonlocal sent
            for request in requests:
                sent += len(request)
                yield request

        responses = self.channel.stream_stream(method)(counted())
        context.add_callback(responses.cancel)
        try:
            for response in responses:
                received += len(response)
                yield response + SPEAKS_2_0 if method == CAPABILITIES else response
        except grpc.RpcError as error:
            context.set_trailing_metadata(error.trailing_metadata() or ())
            context.abort(error.code(), error.details())
        finally:
            print(method.rpartition(".")[2], sent, received, file=self.log, flush=True)


def main():
    socket, port, log = sys.argv[1:]
    # Messages of any size; an error if the port is taken; reconnect at once.
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
        ("grpc.max_reconnect_backoff_ms", 200),
    ]
    channel = grpc.insecure_channel("unix:" + socket, options)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(100), options=options)
    server.add_generic_rpc_handlers([Relay(channel, open(log, "a"))])
    print(server.add_insecure_port("127.0.0.1:" + port), flush=True)
    server.start()
    signal.signal(signal.SIGTERM, lambda *_: server.stop(0))
    server.wait_for_termination()


main()
