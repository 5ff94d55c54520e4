//! Through an ESP32's ROM loader on a serial port.

use super::Fault::*;
use super::Shown::{By, Not};

const ESP: &str = "flash/tests/esp.rs";
const SERIAL: &str = "flash/tests/serial.rs";

pub(crate) const SHOWN: &[super::Row] = &[
    (
        NoContact,
        By(
            "`Contact::Nothing`",
            ESP,
            "an_empty_slot_is_seen_in_a_moment_and_a_program_that_talks_is_no_loader",
        ),
    ),
    (
        LostWhileErasing,
        By(
            "`Silent { Erase }`",
            ESP,
            "contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step",
        ),
    ),
    (
        LostWhileWriting,
        By(
            "`Silent { Program }`",
            ESP,
            "power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board",
        ),
    ),
    (
        LostWhileComparing,
        By(
            "`Silent { Verify }`",
            ESP,
            "contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step",
        ),
    ),
    (
        GoneBetweenSteps,
        By("`Presence::Gone`", ESP, "a_board_that_left_or_lost_its_power_between_steps_is_gone"),
    ),
    (
        PowerCut,
        By(
            "`Silent`; the next visit repairs the board",
            ESP,
            "power_lost_while_writing_is_a_silence_and_the_next_visit_repairs_the_board",
        ),
    ),
    (
        StuckCell,
        By(
            "`WriteFailed` from the loader, `VerifyDiffered` behind it",
            ESP,
            "a_stuck_cell_is_a_refused_write_with_the_loaders_error",
        ),
    ),
    (
        FlippedBit,
        By("asked again", ESP, "disturbed_answers_and_requests_are_asked_again_in_every_step"),
    ),
    (
        Locked,
        By(
            "secure download mode: `Identity { locked }`, for ever",
            ESP,
            "a_chip_in_secure_download_mode_is_locked_for_ever",
        ),
    ),
    (
        OtherChip,
        By(
            "`WrongChip`",
            ESP,
            "another_chip_too_little_flash_and_an_impossible_mac_are_refused_before_anything_is_written",
        ),
    ),
    (
        LessFlash,
        By(
            "`WrongChip`",
            ESP,
            "another_chip_too_little_flash_and_an_impossible_mac_are_refused_before_anything_is_written",
        ),
    ),
    (
        UidUnreadable,
        By(
            "`Refused { Identify }`",
            ESP,
            "a_chip_that_refuses_to_tell_who_it_is_is_not_identified",
        ),
    ),
    (
        UidImplausible,
        By(
            "`UidImplausible`",
            ESP,
            "another_chip_too_little_flash_and_an_impossible_mac_are_refused_before_anything_is_written",
        ),
    ),
    (UidTwice, Not("as by debug probe")),
    (
        WayUnplugged,
        By(
            "`ProbeMissing`, `ProbeLost`",
            ESP,
            "a_port_that_is_not_there_taken_or_unplugged_is_a_missing_busy_or_lost_probe",
        ),
    ),
    (
        WayBusy,
        By(
            "`ProbeBusy`",
            ESP,
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
            ESP,
            "the_program_is_started_and_its_line_is_heard_on_the_same_port",
        ),
    ),
    (UsbStallTimeoutShortBabble, Not("no USB of ours")),
    (DfuErrorStates, Not("no DFU")),
    (LeaveIgnored, Not("no DFU")),
    (SerialsAlike, Not("no DFU")),
    (Noise, By("asked again, then `LineNoise`", ESP, "silence_refusals_and_noise_are_told_apart")),
    (
        Damaged,
        By(
            "asked again, then `LineDamaged`: no stop bit",
            ESP,
            "silence_refusals_and_noise_are_told_apart",
        ),
    ),
    (
        Refused,
        By(
            "`WriteFailed`, `EraseFailed` with the address, otherwise `Refused`",
            ESP,
            "silence_refusals_and_noise_are_told_apart",
        ),
    ),
    (LoaderSilent, By("`Silent`", ESP, "silence_refusals_and_noise_are_told_apart")),
    (
        WrongBaud,
        By(
            "a chip at another rate does not answer; a rate left behind is found",
            ESP,
            "a_loader_left_at_another_rate_is_found_there_and_brought_to_the_wanted_one",
        ),
    ),
];
