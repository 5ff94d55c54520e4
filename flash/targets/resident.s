@ The program that stays in a chip's RAM while it is flashed. ARMv6-M, position independent, no data.
@
@ `serve` calls one function after another as the probe posts them, so that the flash never waits for
@ the probe between two writes. `checksum` says what memory holds without sending it over the wire.
@ Offsets of both and the layout of what they read: flash/src/probe/resident.rs.

    .syntax unified
    .cpu cortex-m0
    .thumb
    .text

@ serve(r0 = mailbox): mailbox = done, code, then four slots of function, four arguments, number.
@ The number is written last and counts up from 1; function 0 ends. A function that answers
@ something else than 0 ends it too: its answer is left in `code`.
serve:
    push    {r3-r7, lr}
    movs    r4, r0
    movs    r5, #0
next:
    movs    r0, #3
    ands    r0, r5
    movs    r1, #24
    muls    r0, r1, r0
    adds    r6, r4, r0
    adds    r6, #8
    adds    r5, #1
posted:
    ldr     r0, [r6, #20]
    cmp     r0, r5
    bne     posted
    ldm     r6!, {r7}
    cmp     r7, #0
    beq     leave
    ldm     r6!, {r0-r3}
    blx     r7
    cmp     r0, #0
    bne     failed
    str     r5, [r4]
    b       next
failed:
    str     r0, [r4, #4]
leave:
    pop     {r3-r7, pc}

@ checksum(r0 = jobs, r1 = how many, r2 = room for 256 words, r3 = reflected polynomial):
@ each job is an address and a length in bytes; the CRC of that stretch (start all ones, answer
@ inverted) takes the place of its address.
checksum:
    push    {r4-r7, lr}
    movs    r4, #0
entry:
    movs    r5, r4
    movs    r6, #8
bit:
    lsrs    r5, r5, #1
    bcc     even
    eors    r5, r3
even:
    subs    r6, #1
    bne     bit
    lsls    r7, r4, #2
    str     r5, [r2, r7]
    adds    r4, #1
    lsrs    r7, r4, #8
    beq     entry
    cmp     r1, #0
    beq     answered
job:
    ldr     r4, [r0]
    ldr     r5, [r0, #4]
    adds    r5, r4
    movs    r6, #0
    mvns    r6, r6
    b       more
byte:
    ldrb    r7, [r4]
    adds    r4, #1
    eors    r7, r6
    uxtb    r7, r7
    lsls    r7, r7, #2
    ldr     r7, [r2, r7]
    lsrs    r6, r6, #8
    eors    r6, r7
more:
    cmp     r4, r5
    beq     summed
    lsls    r7, r4, #30
    bne     byte
    subs    r7, r5, r4
    cmp     r7, #4
    blo     byte
word:
    ldm     r4!, {r7}
    eors    r6, r7
    uxtb    r7, r6
    lsls    r7, r7, #2
    ldr     r7, [r2, r7]
    lsrs    r6, r6, #8
    eors    r6, r7
    uxtb    r7, r6
    lsls    r7, r7, #2
    ldr     r7, [r2, r7]
    lsrs    r6, r6, #8
    eors    r6, r7
    uxtb    r7, r6
    lsls    r7, r7, #2
    ldr     r7, [r2, r7]
    lsrs    r6, r6, #8
    eors    r6, r7
    uxtb    r7, r6
    lsls    r7, r7, #2
    ldr     r7, [r2, r7]
    lsrs    r6, r6, #8
    eors    r6, r7
    subs    r7, r5, r4
    cmp     r7, #4
    bhs     word
    b       more
summed:
    mvns    r6, r6
    stm     r0!, {r6}
    adds    r0, #4
    subs    r1, #1
    bne     job
answered:
    movs    r0, #0
    pop     {r4-r7, pc}
