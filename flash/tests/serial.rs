//! A serial port that is any chip's until one is asked for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use flash::{Backend, Chip, Contact, FlashError, Piece, Plan, Port, Presence, chip};
use nix::unistd::{Uid, setfsuid};
use simulators::rom_loader::Served;
use simulators::{esp_loader, rom_loader};

fn stm32() -> Served {
    let model = rom_loader::models::model("stm32f103").unwrap();
    let chip = rom_loader::Chip::new(model, *b"012345678901", None).unwrap();
    let control = "127.0.0.1:0".parse().unwrap();
    rom_loader::serve(rom_loader::Settings { chip, control, time_scale: 0.0 }).unwrap()
}

fn esp32() -> Served {
    let model = esp_loader::chip::model("esp32c3").unwrap();
    let mac = [0x60, 0x55, 0xF9, 1, 2, 3];
    let chip = esp_loader::Chip::new(model, mac, 0x10_0000, None).unwrap();
    let control = "127.0.0.1:0".parse().unwrap();
    esp_loader::serve(esp_loader::Settings { chip, control, time_scale: 0.0 }).unwrap()
}

fn pull(served: &Served, lever: &str) {
    let mut control = TcpStream::connect(served.control).unwrap();
    control.write_all(format!("{lever}\n").as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(control).read_line(&mut answer).unwrap();
    assert_eq!(answer, "ok\n", "{lever}");
}

fn open(served: &Served, chip: Option<&'static Chip>) -> Box<dyn Backend> {
    format!("tty:{}", served.tty).parse::<Port>().unwrap().open(chip).unwrap()
}

fn row(name: &str) -> &'static Chip {
    chip(name).unwrap()
}

#[test]
fn the_chip_that_is_asked_for_decides_whose_loader_is_spoken_to() {
    for (served, name, at) in [(stm32(), "STM32F103CB", 0x0800_0000), (esp32(), "esp32c3", 0)] {
        let mut port = open(&served, Some(row(name)));
        assert_eq!(port.contact(), Ok(Contact::Board), "{name}");
        let identity = port.identify(row(name)).unwrap();
        assert_eq!(identity.family, row(name).family);
        let piece = Piece { name: "image", address: at, bytes: &[7; 64] };
        let plan = Plan::new(row(name), [piece]).unwrap();
        assert_eq!(port.program(&plan, &mut |_| ()).unwrap().verified_bytes, 64);
        assert_eq!(port.verify(&plan, &mut |_| ()).unwrap().verified_bytes, 64);
        let mut back = [0; 4];
        port.read(at, &mut back).unwrap();
        assert_eq!(back, [7; 4], "{name}");
        assert_eq!(port.is_blank(at, 4), Ok(false), "{name}");
        assert_eq!(port.presence(), Ok(Presence::Still), "{name}");
        pull(&served, "remove");
        assert_eq!(port.presence(), Ok(Presence::Gone), "{name}");
        assert_eq!(port.contact(), Ok(Contact::Nothing), "{name}");
        pull(&served, "insert");
        assert_eq!(port.contact(), Ok(Contact::Board), "{name}");
    }
}

#[test]
fn an_empty_port_is_nothing_and_the_other_kind_of_chip_is_no_answer() {
    let served = stm32();
    pull(&served, "remove");
    assert_eq!(open(&served, None).contact(), Ok(Contact::Nothing));
    pull(&served, "insert");
    assert_eq!(open(&served, None).contact(), Ok(Contact::Board));

    let served = esp32();
    let mut port = open(&served, None);
    assert_eq!(port.contact(), Ok(Contact::Nothing), "nobody said that an ESP32 is to come");
    let wrong = port.identify(row("STM32F103CB"));
    assert!(matches!(wrong, Err(FlashError::Silent { .. })), "{wrong:?}");
    assert_eq!(port.identify(row("esp32c3")).unwrap().family, "esp32c3");
}

#[test]
fn a_port_that_the_system_refuses_is_a_lack_of_permission() {
    for (served, name) in [(stm32(), "STM32F103CB"), (esp32(), "esp32c3")] {
        let mut nobodys = fs::metadata(&served.tty).unwrap().permissions();
        nobodys.set_mode(0o000);
        fs::set_permissions(&served.tty, nobodys).unwrap();
        let path = served.tty.clone();
        // A thread of root's is nobody for the file system from here on; every other user is
        // refused already.
        let refused = thread::spawn(move || {
            setfsuid(Uid::from_raw(65_534));
            let port: Port = format!("tty:{path}").parse().unwrap();
            port.open(Some(row(name))).unwrap().contact()
        });
        let refused = refused.join().unwrap();
        assert!(matches!(refused, Err(FlashError::PermissionDenied { .. })), "{name}: {refused:?}");
    }
}
