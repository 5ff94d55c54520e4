//! Through a debug probe.

use super::Fault::*;
use super::Shown::{By, Not};

const BOARD: &str = "flash/tests/simulated_board.rs";
const STM32: &str = "flash/tests/stm32_board.rs";
const LINE: &str = "station-daemon/tests/line/faults.rs";
const CLASSIFY: &str = "flash/src/probe/classify.rs";
const HANDS: &str = "station-daemon/tests/hands.rs";

pub(crate) const SHOWN: &[super::Row] = &[
    (
        NoContact,
        By(
            "`Contact::Nothing`; `Silent` from identify",
            BOARD,
            "an_unpowered_board_is_no_contact_and_found_as_soon_as_it_is_there",
        ),
    ),
    (
        LostWhileErasing,
        By(
            "`Silent { Erase }`",
            BOARD,
            "contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step",
        ),
    ),
    (
        LostWhileWriting,
        By(
            "`Silent { Program }`",
            BOARD,
            "contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step",
        ),
    ),
    (
        LostWhileComparing,
        By(
            "`Silent { Verify }`",
            BOARD,
            "contact_lost_while_erasing_or_comparing_is_a_silence_of_that_step",
        ),
    ),
    (
        GoneBetweenSteps,
        By(
            "`Presence::Gone`",
            BOARD,
            "a_board_that_is_pulled_or_loses_its_power_for_a_moment_is_gone",
        ),
    ),
    (
        PowerCut,
        By(
            "`Silent`; the next visit repairs the board",
            BOARD,
            "power_lost_at_any_word_is_a_silence_and_the_next_visit_repairs_the_board",
        ),
    ),
    (
        StuckCell,
        By(
            "`VerifyDiffered` with address and count; `WriteFailed` where the chip sees it first",
            STM32,
            "stuck_cells_are_named_by_their_address",
        ),
    ),
    (
        FlippedBit,
        By(
            "asked again; `LineNoise` when it goes on; `VerifyDiffered` once it is in the chip",
            BOARD,
            "bits_flipped_on_the_way_back_change_no_kept_byte_and_are_told_when_they_go_on",
        ),
    ),
    (
        Locked,
        By(
            "`Identity { locked }`, then `Locked`; `unlock` erases it whole",
            STM32,
            "a_locked_chip_shows_no_identity_and_opens_only_by_an_approved_erase",
        ),
    ),
    (
        OtherChip,
        By(
            "`WrongChip`, nothing written",
            STM32,
            "another_chip_and_a_sibling_with_less_flash_are_refused_before_anything_is_written",
        ),
    ),
    (
        LessFlash,
        By(
            "`WrongChip` with both sizes",
            STM32,
            "another_chip_and_a_sibling_with_less_flash_are_refused_before_anything_is_written",
        ),
    ),
    (
        UidUnreadable,
        By(
            "`Driver { Identify }`",
            STM32,
            "a_unique_id_that_cannot_be_read_or_cannot_be_one_is_refused",
        ),
    ),
    (UidImplausible, By("`UidImplausible`", BOARD, "a_uid_that_cannot_be_one_is_refused")),
    (
        UidTwice,
        By(
            "the station flashes one of them",
            LINE,
            "the_same_uid_in_two_slots_at_once_is_flashed_in_one_of_them_only",
        ),
    ),
    (
        WayUnplugged,
        By(
            "`ProbeLost`, `ProbeMissing`; replugged between two looks: nothing",
            BOARD,
            "a_probe_replugged_in_a_step_is_lost_and_replugged_between_two_looks_is_no_trouble",
        ),
    ),
    (
        WayBusy,
        By("`ProbeBusy`", BOARD, "a_probe_that_another_program_uses_is_busy_until_that_lets_go"),
    ),
    (
        NotPermitted,
        By(
            "`PermissionDenied`, by the driver's error only",
            CLASSIFY,
            "the_drivers_errors_become_facts",
        ),
    ),
    (
        DriverHangs,
        By(
            "killed by its deadline, `Hung`",
            HANDS,
            "a_probe_that_hangs_is_killed_by_the_deadline_and_the_neighbour_goes_on",
        ),
    ),
    (
        WorkerDies,
        By(
            "`Crashed`, replaced",
            HANDS,
            "a_worker_that_dies_is_reported_with_its_signal_and_replaced",
        ),
    ),
    (
        FirmwareSilent,
        By(
            "`SelfTestSilent`, `SelfTestDiffered`; `CoreStuck` for a lock-up",
            BOARD,
            "a_self_test_fails_by_what_was_heard_by_silence_by_lockup_or_by_a_closed_port",
        ),
    ),
    (UsbStallTimeoutShortBabble, Not("probe-rs' own; no USB probe was on the bench")),
    (DfuErrorStates, Not("no DFU")),
    (LeaveIgnored, Not("no DFU")),
    (SerialsAlike, Not("no DFU")),
    (Noise, Not("no serial line")),
    (Damaged, Not("no serial line")),
    (Refused, Not("no loader")),
    (LoaderSilent, Not("no loader")),
    (WrongBaud, Not("no serial line")),
];
