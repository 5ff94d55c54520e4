//! A real kernel, real udev and real users around the DFU back end, in an emulated machine.
//!
//! The test packs itself, `board-visit`, udev and Flashline's rules into a boot image, starts Debian's
//! kernel on it under QEMU without any help of the host's kernel, and reads from the serial console
//! what happened inside. Inside, the same test plugs simulated devices into the kernel's virtual host
//! controller. One boot tells all the stories; see README.md.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod host;
mod inside;
mod scanner;

/// Set by the boot image for the programs in it.
const INSIDE: &str = "FLASHLINE_GUEST";

type Story = (&'static str, fn(&inside::Machine));

/// What is told inside, in this order.
const STORIES: &[Story] = &[
    ("udev opens the loader to its group", inside::udev_opens_the_loader_to_its_group),
    ("a member flashes, a stranger does not", inside::a_member_flashes_and_a_stranger_does_not),
    ("who sits there flashes", inside::who_sits_at_the_machine_flashes_without_a_group),
    ("a board comes and goes", inside::a_board_comes_and_goes),
    ("faults are told from each other", inside::faults_are_told_from_each_other),
    ("a running program is told to detach", inside::a_running_program_is_told_to_detach),
    ("a serial port's lines are driven", inside::the_lines_of_a_serial_port_are_driven),
    ("a serial port's lines start a chip's loader", inside::the_lines_start_a_chips_loader),
    ("a scanner is one program's alone", scanner::a_scanner_is_taken_for_one_program_alone),
];

#[test]
fn the_kernel_and_udev_let_the_right_people_flash() {
    if std::env::var_os(INSIDE).is_some() {
        let machine = inside::Machine::new();
        for (story, tell) in STORIES {
            let begun = std::time::Instant::now();
            tell(&machine);
            println!("GUEST ok {story} ({} ms)", begun.elapsed().as_millis());
        }
        return;
    }
    let said = host::boot("the_kernel_and_udev_let_the_right_people_flash");
    for (story, _) in STORIES {
        let told = said.lines().any(|line| line.contains(&format!("GUEST ok {story}")));
        assert!(told, "{story:?} was not told:\n{said}");
    }
    for line in said.lines().filter(|line| line.contains("GUEST ")) {
        println!("{}", line.trim_end());
    }
}
