//! The enrolment code: what is typed is what was printed, or it is refused.

use protocol::enrolment::{EnrolmentCode, EnrolmentCodeError};
use protocol::{EnrolmentSecret, Sha256};

const FORMAT: &str = include_str!("../FORMAT.md");

fn example() -> EnrolmentCode {
    EnrolmentCode {
        hub: "127.0.0.1:7443".into(),
        hub_ca_sha256: Sha256([0x11; 32]),
        root_sha256: Sha256([0x22; 32]),
        secret: EnrolmentSecret([0x33; 16]),
    }
}

#[test]
fn the_worked_example_of_the_format_page_is_what_the_code_writes() {
    let hex: String = hex::encode(example().to_bytes().unwrap());
    assert!(FORMAT.replace(['\n', ' '], "").contains(&hex), "{hex}");
    assert!(FORMAT.contains(&example().to_string()), "{}", example());
}

#[test]
fn a_code_reads_back_however_people_type_it() {
    let text = example().to_string();
    for typed in [
        text.clone(),
        text.to_lowercase(),
        format!("  {text}\n"),
        format!("FL1-{}", text[4..].replace('-', "")),
        format!("FL1-{}", text[4..].replace('-', " ")),
        format!("FL1-{}", text[4..].replace('0', "O").replace('1', "l")),
    ] {
        assert_eq!(typed.parse::<EnrolmentCode>().unwrap(), example(), "{typed}");
    }
}

#[test]
fn any_one_wrong_character_is_noticed() {
    let text = example().to_string();
    let letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    for (index, right) in text.char_indices().skip(4).filter(|(_, c)| *c != '-') {
        for wrong in letters.chars().filter(|c| *c != right) {
            let mut typed = text.clone();
            typed.replace_range(index..=index, &wrong.to_string());
            assert!(typed.parse::<EnrolmentCode>().is_err(), "{wrong} at {index}");
        }
    }
}

#[test]
fn two_swapped_neighbours_are_noticed() {
    let letters: Vec<char> = example().to_string()[4..].replace('-', "").chars().collect();
    for index in 1..letters.len() {
        let mut swapped = letters.clone();
        swapped.swap(index - 1, index);
        if swapped != letters {
            let typed: String = "FL1-".chars().chain(swapped).collect();
            assert!(typed.parse::<EnrolmentCode>().is_err(), "at {index}");
        }
    }
}

#[test]
fn a_missing_end_a_foreign_prefix_and_a_later_version_are_refused_by_name() {
    let text = example().to_string();
    for end in 0..text.len() {
        assert!(text[..end].parse::<EnrolmentCode>().is_err(), "cut at {end}");
    }
    let check = |typed: &str, expected: EnrolmentCodeError| {
        assert_eq!(typed.parse::<EnrolmentCode>(), Err(expected), "{typed:?}");
    };
    check("", EnrolmentCodeError::Prefix);
    check("FL2-00000", EnrolmentCodeError::Prefix);
    check("日本語", EnrolmentCodeError::Prefix);
    check("FL1-U!", EnrolmentCodeError::Alphabet);
    check(&text.replace("FL1-", "FL1-00000000"), EnrolmentCodeError::Mistyped);
}

#[test]
fn an_address_that_is_not_host_and_port_makes_no_code() {
    for hub in ["", "localhost", ":7443", "host:", "host:0", "host:65536", "ho st:1", "h/x:1"] {
        let code = EnrolmentCode { hub: hub.into(), ..example() };
        assert_eq!(code.to_bytes(), Err(EnrolmentCodeError::Hub), "{hub:?}");
    }
    for hub in ["localhost:1", "[::1]:7443", "hub.example:65535"] {
        let code = EnrolmentCode { hub: hub.into(), ..example() };
        assert_eq!(code.to_string().parse::<EnrolmentCode>().unwrap(), code);
    }
}
