//! Over USB DFU.

use super::Fault::*;
use super::Shown::{By, Not};

const VISIT: &str = "flash/tests/dfu/visit.rs";
const FAULTS: &str = "flash/tests/dfu/faults.rs";
const USB_FAULTS: &str = "flash/tests/usb/faults.rs";
const USB_VISIT: &str = "flash/tests/usb/visit.rs";

pub(crate) const SHOWN: &[super::Row] = &[
    (
        NoContact,
        By("`Contact::Nothing`", VISIT, "a_plug_that_bounces_is_contact_only_once_it_stays"),
    ),
    (
        LostWhileErasing,
        By(
            "`Silent`",
            FAULTS,
            "every_fault_on_the_wire_is_one_fact_and_the_next_try_repairs_the_board",
        ),
    ),
    (
        LostWhileWriting,
        By(
            "`Silent { Program }`",
            USB_FAULTS,
            "every_fault_in_a_visit_is_one_fact_and_the_next_try_repairs_the_board",
        ),
    ),
    (
        LostWhileComparing,
        By(
            "`Silent { Verify }`",
            USB_FAULTS,
            "every_fault_in_a_visit_is_one_fact_and_the_next_try_repairs_the_board",
        ),
    ),
    (GoneBetweenSteps, By("`Presence::Gone`", VISIT, "a_board_swapped_between_two_steps_is_gone")),
    (
        PowerCut,
        By(
            "`Silent`; the next visit finishes the board",
            FAULTS,
            "power_cut_after_any_number_of_bytes_leaves_a_board_that_the_next_visit_finishes",
        ),
    ),
    (
        StuckCell,
        By(
            "`VerifyDiffered`",
            FAULTS,
            "a_stuck_cell_and_a_write_protected_page_are_found_by_comparing",
        ),
    ),
    (
        FlippedBit,
        By(
            "never a wrong board that passes",
            FAULTS,
            "no_single_fault_anywhere_in_a_visit_makes_a_wrong_board_pass_or_a_board_unrepairable",
        ),
    ),
    (
        Locked,
        By(
            "`Locked`; `unlock` erases it whole",
            VISIT,
            "a_locked_chip_says_so_and_is_erased_whole_only_with_an_approval",
        ),
    ),
    (
        OtherChip,
        By(
            "`WrongChip`: USB ids and memory map are all there is",
            VISIT,
            "another_chip_is_refused_by_what_it_is_and_nothing_is_written",
        ),
    ),
    (
        LessFlash,
        By("`WrongChip`", VISIT, "another_chip_is_refused_by_what_it_is_and_nothing_is_written"),
    ),
    (
        UidUnreadable,
        By(
            "a weak identity",
            VISIT,
            "an_unreadable_uid_leaves_only_a_weak_serial_and_an_impossible_one_is_refused",
        ),
    ),
    (
        UidImplausible,
        By(
            "`UidImplausible`",
            VISIT,
            "an_unreadable_uid_leaves_only_a_weak_serial_and_an_impossible_one_is_refused",
        ),
    ),
    (UidTwice, Not("as by debug probe")),
    (
        WayUnplugged,
        By(
            "the port is the socket: the board is `Gone`",
            USB_VISIT,
            "a_board_pulled_out_is_gone_and_put_back_it_is_another_visit",
        ),
    ),
    (
        WayBusy,
        By(
            "`ProbeBusy` from identify",
            USB_FAULTS,
            "a_device_that_another_program_has_claimed_is_busy_until_that_lets_go",
        ),
    ),
    (
        NotPermitted,
        By(
            "`PermissionDenied` with the port",
            USB_VISIT,
            "a_user_without_rights_makes_the_visit_and_a_device_it_may_not_open_is_named",
        ),
    ),
    (DriverHangs, Not("as by debug probe: the worker is the same")),
    (WorkerDies, Not("as by debug probe")),
    (
        FirmwareSilent,
        By("`SelfTestSilent`", VISIT, "a_self_test_starts_the_program_and_names_a_silent_uart"),
    ),
    (
        UsbStallTimeoutShortBabble,
        By(
            "`Driver`, `Silent` by step",
            FAULTS,
            "every_fault_on_the_wire_is_one_fact_and_the_next_try_repairs_the_board",
        ),
    ),
    (
        DfuErrorStates,
        By(
            "`EraseFailed`, `WriteFailed` with address and bStatus",
            FAULTS,
            "an_erase_that_fails_names_its_page",
        ),
    ),
    (
        LeaveIgnored,
        By(
            "`CoreStuck { Reset }`",
            FAULTS,
            "a_device_that_ignores_leave_or_comes_back_as_its_loader_is_stuck",
        ),
    ),
    (
        SerialsAlike,
        By(
            "the one in the named socket is written",
            VISIT,
            "of_two_boards_with_one_serial_the_one_in_the_named_port_is_written",
        ),
    ),
    (Noise, Not("no serial line")),
    (Damaged, Not("no serial line")),
    (Refused, Not("no serial line")),
    (LoaderSilent, Not("a timeout, above")),
    (WrongBaud, Not("no serial line")),
];
