@ A second stage for the simulated RP2040: opens the flash's window for serial reads and starts
@ what is behind it. At 0x20041f00, where the boot ROM puts it.

    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .text

boot2:
    ldr     r0, =0x18000000
    movs    r1, #0
    str     r1, [r0, #0x08]
    ldr     r2, =(31 << 16) | (3 << 8)
    str     r2, [r0]
    ldr     r2, =(3 << 24) | (2 << 8) | (6 << 2)
    movs    r3, #0xf4
    str     r2, [r0, r3]
    movs    r2, #1
    str     r2, [r0, #0x08]
    ldr     r0, =0x40018000
    str     r1, [r0, #0x0c]
    ldr     r0, =0x10000100
    ldr     r1, =0xe000ed08
    str     r0, [r1]
    ldr     r1, [r0]
    msr     msp, r1
    ldr     r1, [r0, #4]
    bx      r1

    .ltorg
