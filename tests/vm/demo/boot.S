# A guest in one sector. It reads a marker from the second sector of its disk and a counter
# from the third, and increments the counter. It prints both and the number of sectors of the
# disk to the serial port, and writes the counter back. If a byte has arrived at the serial
# port it reboots, otherwise it ends QEMU. Built for load address 0x7c00 in 16-bit mode.

.equ COM1, 0x3f8
.equ DEBUG_EXIT, 0xf4        # QEMU's isa-debug-exit
.equ MARKER, 0x8000          # buffer for the second sector
.equ COUNTER, 0x8200         # and for the third
.equ PARAMETERS, 0x8400      # drive parameters from the BIOS

.code16
.globl _start
_start:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp

    mov $0x42, %ah           # int 13h: extended read
    call disk

    mov $marker_text, %si
    call print
    mov $MARKER, %si
    call print
    mov $counter_text, %si
    call print
    incb COUNTER
    mov COUNTER, %al
    add $'0', %al            # one digit is enough here
    call put
    mov $sectors_text, %si
    call print
    mov $PARAMETERS, %si
    movw $26, (%si)          # size of the buffer in bytes
    mov $0x48, %ah           # int 13h: drive parameters
    call bios
    mov PARAMETERS + 16, %ebx
    mov $8, %cx
digit:                       # prints the number of sectors in hexadecimal
    rol $4, %ebx
    mov %bl, %al
    and $15, %al
    add $'0', %al
    cmp $'9', %al
    jbe 1f
    add $'a' - '9' - 1, %al
1:  call put
    loop digit
    mov $end_text, %si
    call print

    mov $0x4300, %ax         # int 13h: extended write, no verify
    call disk

    mov $COM1 + 5, %dx       # line status
    in %dx, %al
    test $1, %al             # has a byte arrived?
    mov $0, %al
    jz exit
    mov $0xfe, %al           # the keyboard controller resets the machine
    out %al, $0x64
    hlt

# Moves the sectors of `packet` between the boot disk and memory, as %ah says.
disk:
    mov $packet, %si
bios:
    mov $0x80, %dl           # the first hard disk
    int $0x13
    jc failed
    ret

failed:
    mov $failed_text, %si
    call print
    mov $1, %al
exit:
    mov $DEBUG_EXIT, %dx
    out %al, %dx             # QEMU's exit status is 2 * al + 1
    hlt
    jmp exit

# Writes the string at %si, up to its NUL, to the serial port.
print:
    lodsb
    test %al, %al
    jz done
    call put
    jmp print
put:
    mov $COM1, %dx
    out %al, %dx
done:
    ret

marker_text: .asciz "marker: "
counter_text: .asciz "\r\ncounter: "
sectors_text: .asciz "\r\nsectors: "
end_text: .asciz "\r\n"
failed_text: .asciz "disk error\r\n"

.balign 4
packet:                      # disk address packet
    .byte 16, 0
    .word 2                  # sectors
    .word MARKER, 0          # offset, segment
    .quad 1                  # first sector

.org 510
    .word 0xaa55             # boot signature
