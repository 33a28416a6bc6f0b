"""Relays gRPC calls to a buildbox-casd, and counts their bytes.

    relay.py SOCKET PORT LOG

SOCKET is where casd listens; the relay listens on 127.0.0.1:PORT, or on a free port that
it prints if PORT is 0. LOG gets a line for each call that is over: the method, the bytes
of its requests and those of its responses.

Two things stand between casd and Bazel 7. One is its answer to GetCapabilities, which
says that it speaks no version before 2.1 of the API; Bazel 7 speaks 2.0, and nothing of
what it does changed between them. And a client that has a connection to a relay sees the
single calls fail, not the connection, while casd is away: as behind any load balancer.
"""

import concurrent.futures
import signal
import sys

import grpc

# low_api_version (4) = SemVer {major (1) = 2, minor (2) = 0}. Two messages one behind the
# other are one, in which the later value of a field holds.
SPEAKS_2_0 = b"\x22\x04\x08\x02\x10\x00"
CAPABILITIES = "/build.bazel.remote.execution.v2.Capabilities/GetCapabilities"


class Relay(grpc.GenericRpcHandler):
    def __init__(self, channel, log):
        self.channel = channel
        self.log = log

    def service(self, call):
        def forward(requests, context):
            return self.forward(call.method, requests, context)

        # Every kind of call is a stream of messages each way, and a message is bytes.
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
    # No limit on the size of messages; a port is free or it is an error; try again at once.
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
