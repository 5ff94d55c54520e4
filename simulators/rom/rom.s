@ The boot ROM of the simulated RP2040: our own, with the real one's table of functions (RP2040
@ Datasheet, 2.8.3) and those of them that a debugger's flash routine calls. ARMv6-M, at address 0.

    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .text

    .equ SSI, 0x18000000        @ 4.10
    .equ SSIENR, 0x08
    .equ SER, 0x10
    .equ BAUDR, 0x14
    .equ SR, 0x28
    .equ DR0, 0x60
    .equ SPI_CTRLR0, 0xf4
    .equ IO_QSPI, 0x40018000    @ 2.19.6.2
    .equ SS_CTRL, 0x0c
    .equ XIP_CTRL, 0x14000000   @ 2.6.3.4
    .equ CHIP_RESET, 0x40064008 @ 2.10.6
    .equ SIO, 0xd0000000        @ 2.3.1.7
    .equ BOOT2, 0x20041f00

vectors:
    .word BOOT2
    .word (reset - vectors) + 1
    .word (park - vectors) + 1
    .word (park - vectors) + 1
    .byte 'M', 'u', 1, 2
    .hword functions - vectors
    .hword nothing - vectors
    .hword (lookup - vectors) + 1
    .hword 0
functions:
    .byte 'I', 'F'
    .hword (connect - vectors) + 1
    .byte 'E', 'X'
    .hword (exit_xip - vectors) + 1
    .byte 'R', 'E'
    .hword (erase - vectors) + 1
    .byte 'R', 'P'
    .hword (program - vectors) + 1
    .byte 'F', 'C'
    .hword (flush - vectors) + 1
    .byte 'C', 'X'
    .hword (enter_xip - vectors) + 1
nothing:
    .word 0

@ lookup(r0 = table, r1 = code): the address, or 0.
lookup:
    ldrh    r2, [r0]
    cmp     r2, #0
    beq     absent
    cmp     r2, r1
    beq     found
    adds    r0, #4
    b       lookup
found:
    ldrh    r0, [r0, #2]
    bx      lr
absent:
    movs    r0, #0
    bx      lr

@ Core 1 waits to be launched, which nothing here does; a rescued core 0 waits for its debugger.
reset:
    ldr     r0, =SIO
    ldr     r0, [r0]
    cmp     r0, #0
    bne     park
    ldr     r0, =CHIP_RESET
    ldr     r1, [r0]
    lsls    r2, r1, #11
    bpl     boot
    str     r1, [r0]
park:
    b       park

@ The second stage is in the first 256 bytes of flash, its CRC-32 in the last four of them.
boot:
    bl      connect
    bl      exit_xip
    bl      select
    movs    r0, #3
    bl      byte
    movs    r0, #0
    bl      address
    ldr     r4, =BOOT2
    movs    r5, #255
    adds    r5, #1
    adds    r5, r4
load:
    movs    r0, #0
    bl      byte
    strb    r0, [r4]
    adds    r4, #1
    cmp     r4, r5
    bne     load
    bl      deselect
    ldr     r4, =BOOT2
    subs    r5, #4
    movs    r0, #0
    mvns    r0, r0
    ldr     r2, =0x04c11db7
sum:
    ldrb    r1, [r4]
    lsls    r1, r1, #24
    eors    r0, r1
    movs    r3, #8
bit:
    lsls    r0, r0, #1
    bcc     even
    eors    r0, r2
even:
    subs    r3, #1
    bne     bit
    adds    r4, #1
    cmp     r4, r5
    bne     sum
    ldr     r1, [r5]
    cmp     r0, r1
    bne     park
    ldr     r0, =BOOT2 + 1
    bx      r0

    .ltorg

@ The pins of the flash belong to the SSI.
connect:
    ldr     r0, =IO_QSPI
    movs    r1, #0
    str     r1, [r0, #0x04]
    str     r1, [r0, #0x0c]
    str     r1, [r0, #0x14]
    str     r1, [r0, #0x1c]
    str     r1, [r0, #0x24]
    str     r1, [r0, #0x2c]
    bx      lr

@ Serial commands of eight bits each way; whatever the flash waits for ends.
exit_xip:
    push    {lr}
    ldr     r0, =SSI
    movs    r1, #0
    str     r1, [r0, #SSIENR]
    movs    r1, #6
    str     r1, [r0, #BAUDR]
    ldr     r1, =7 << 16
    str     r1, [r0]
    movs    r1, #1
    str     r1, [r0, #SER]
    str     r1, [r0, #SSIENR]
    bl      select
    movs    r0, #255
    bl      byte
    movs    r0, #255
    bl      byte
    bl      deselect
    pop     {pc}

select:
    movs    r1, #2
    b       drive
deselect:
    movs    r1, #3
drive:
    lsls    r1, r1, #8
    ldr     r0, =IO_QSPI
    str     r1, [r0, #SS_CTRL]
    bx      lr

@ byte(r0) -> r0: one out, one in.
byte:
    ldr     r1, =SSI
    str     r0, [r1, #DR0]
waiting:
    ldr     r0, [r1, #SR]
    lsls    r0, r0, #28
    bpl     waiting
    ldr     r0, [r1, #DR0]
    bx      lr

@ address(r0): three bytes, the high one first. Keeps r4 and above.
address:
    push    {r4, lr}
    movs    r4, r0
    lsrs    r0, r4, #16
    uxtb    r0, r0
    bl      byte
    lsrs    r0, r4, #8
    uxtb    r0, r0
    bl      byte
    uxtb    r0, r4
    bl      byte
    pop     {r4, pc}

enable:
    push    {lr}
    bl      select
    movs    r0, #6
    bl      byte
    bl      deselect
    pop     {pc}

ready:
    push    {lr}
again:
    bl      select
    movs    r0, #5
    bl      byte
    movs    r0, #0
    bl      byte
    push    {r0}
    bl      deselect
    pop     {r0}
    lsls    r0, r0, #31
    bmi     again
    pop     {pc}

@ erase(r0 = address, r1 = bytes, r2 = block, r3 = its command): sectors of 4 KiB with 0x20.
erase:
    push    {r4-r7, lr}
    mov     r12, r3
    movs    r4, r0
    adds    r5, r0, r1
    movs    r6, r2
sector:
    cmp     r4, r5
    bhs     erased
    bl      enable
    bl      select
    movs    r7, #1
    lsls    r7, r7, #12
    movs    r0, #0x20
    subs    r1, r6, #1
    tst     r4, r1
    bne     command
    adds    r1, r4, r6
    cmp     r1, r5
    bhi     command
    movs    r7, r6
    mov     r0, r12
command:
    bl      byte
    movs    r0, r4
    bl      address
    bl      deselect
    bl      ready
    adds    r4, r4, r7
    b       sector
erased:
    pop     {r4-r7, pc}

@ program(r0 = address, r1 = data, r2 = bytes): pages of 256 bytes.
program:
    push    {r4-r7, lr}
    movs    r4, r0
    movs    r5, r1
    adds    r6, r1, r2
page:
    cmp     r5, r6
    bhs     programmed
    bl      enable
    bl      select
    movs    r0, #2
    bl      byte
    movs    r0, r4
    bl      address
    movs    r7, #255
    adds    r7, #1
    adds    r4, r4, r7
one:
    ldrb    r0, [r5]
    bl      byte
    adds    r5, #1
    subs    r7, #1
    bne     one
    bl      deselect
    bl      ready
    b       page
programmed:
    pop     {r4-r7, pc}

flush:
    ldr     r0, =XIP_CTRL
    movs    r1, #1
    str     r1, [r0, #4]
    bx      lr

@ The window: every read becomes a serial read (0x03) of 32 bits.
enter_xip:
    ldr     r0, =SSI
    movs    r1, #0
    str     r1, [r0, #SSIENR]
    ldr     r2, =(31 << 16) | (3 << 8)
    str     r2, [r0]
    ldr     r2, =(3 << 24) | (2 << 8) | (6 << 2)
    movs    r3, #SPI_CTRLR0
    str     r2, [r0, r3]
    movs    r2, #1
    str     r2, [r0, #SSIENR]
    ldr     r0, =IO_QSPI
    str     r1, [r0, #SS_CTRL]
    bx      lr

    .ltorg
