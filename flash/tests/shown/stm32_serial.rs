//! Through an STM32's ROM loader on a serial port.

use super::Fault::*;
use super::Shown::{By, Not};

const UART: &str = "flash/tests/uart.rs";
const SERIAL: &str = "flash/tests/serial.rs";

pub(crate) const SHOWN: &[super::Row] = &[
    (
        NoContact,
        By(
            "`Contact::Nothing`",
            UART,
            "power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board",
        ),
    ),
    (
        LostWhileErasing,
        By(
            "`Silent { Erase }`",
            UART,
            "contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step",
        ),
    ),
    (
        LostWhileWriting,
        By(
            "`Silent { Program }`",
            UART,
            "power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board",
        ),
    ),
    (
        LostWhileComparing,
        By(
            "`Silent { Verify }`",
            UART,
            "contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step",
        ),
    ),
    (
        GoneBetweenSteps,
        By("`Presence::Gone`", UART, "a_board_that_left_or_lost_its_power_between_steps_is_gone"),
    ),
    (
        PowerCut,
        By(
            "`Silent`; the next visit repairs the board",
            UART,
            "power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board",
        ),
    ),
    (StuckCell, By("`VerifyDiffered`", UART, "a_stuck_cell_is_named_by_its_address_and_counted")),
    (FlippedBit, By("asked again", UART, "bits_flipped_or_lost_on_the_wire_are_asked_for_again")),
    (
        Locked,
        By(
            "`Identity { locked }`; `unlock` erases it whole",
            UART,
            "a_locked_chip_tells_nothing_and_is_opened_only_by_unlock",
        ),
    ),
    (
        OtherChip,
        By(
            "`WrongChip`",
            UART,
            "another_chip_or_an_empty_id_is_refused_before_anything_is_written",
        ),
    ),
    (
        LessFlash,
        By(
            "`WrongChip`",
            UART,
            "another_chip_or_an_empty_id_is_refused_before_anything_is_written",
        ),
    ),
    (
        UidUnreadable,
        By(
            "a refused read: `Identity { locked }`",
            UART,
            "a_locked_chip_tells_nothing_and_is_opened_only_by_unlock",
        ),
    ),
    (
        UidImplausible,
        By(
            "`UidImplausible`",
            UART,
            "another_chip_or_an_empty_id_is_refused_before_anything_is_written",
        ),
    ),
    (UidTwice, Not("as by debug probe")),
    (
        WayUnplugged,
        By(
            "`ProbeMissing`, `ProbeLost`",
            UART,
            "a_port_that_is_not_there_taken_or_unplugged_is_a_missing_busy_or_lost_probe",
        ),
    ),
    (
        WayBusy,
        By(
            "`ProbeBusy`",
            UART,
            "a_port_that_is_not_there_taken_or_unplugged_is_a_missing_busy_or_lost_probe",
        ),
    ),
    (
        NotPermitted,
        By(
            "`PermissionDenied` with the port",
            SERIAL,
            "a_port_that_the_system_refuses_is_a_lack_of_permission",
        ),
    ),
    (DriverHangs, Not("as by debug probe: the worker is the same")),
    (WorkerDies, Not("as by debug probe")),
    (
        FirmwareSilent,
        By(
            "`SelfTestSilent`, `SelfTestDiffered`",
            UART,
            "the_program_is_started_and_its_line_is_heard_on_the_same_port",
        ),
    ),
    (UsbStallTimeoutShortBabble, Not("no USB of ours")),
    (DfuErrorStates, Not("no DFU")),
    (LeaveIgnored, Not("no DFU")),
    (SerialsAlike, Not("no DFU")),
    (
        Noise,
        By(
            "asked again, then `LineNoise`",
            UART,
            "silence_nack_noise_and_a_wrong_baud_are_told_apart",
        ),
    ),
    (
        Damaged,
        By(
            "asked again, then `LineDamaged` with the kind where the driver counts it",
            UART,
            "silence_nack_noise_and_a_wrong_baud_are_told_apart",
        ),
    ),
    (
        Refused,
        By(
            "`WriteFailed`, `EraseFailed` with the address, otherwise `Refused`",
            UART,
            "refused_writes_and_erases_name_their_addresses",
        ),
    ),
    (LoaderSilent, By("`Silent`", UART, "silence_nack_noise_and_a_wrong_baud_are_told_apart")),
    (
        WrongBaud,
        By(
            "`WrongBaud` with the rates tried; a rate left behind is found",
            UART,
            "silence_nack_noise_and_a_wrong_baud_are_told_apart",
        ),
    ),
];
