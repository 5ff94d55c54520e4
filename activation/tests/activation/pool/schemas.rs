//! Schemas: which are taken, and what they look like in a file.

use crate::world::*;
use activation::Openness::{self, Public, Secret};
use activation::pool::Form::{self, Base64, Hex, Text};
use activation::pool::{Column, Schema, SchemaError};

fn column(name: &str, openness: Openness, form: Form, bytes_max: u16) -> Column {
    Column { name: name.into(), openness, form, bytes_min: 1, bytes_max, repeats: false }
}

#[test]
fn schemas_of_triples_pairs_and_certificates_are_taken() {
    let check = |columns: Vec<Column>, code: &str| {
        let schema = Schema::new(columns, code, ',').unwrap();
        let json = serde_json::to_string(&schema).unwrap();
        assert_eq!(serde_json::from_str::<Schema>(&json).unwrap(), schema, "{json}");
    };
    check(schema().columns().to_vec(), "DeviceName");
    check(vec![column("UUID", Public, Text, 20), column("AuthKey", Secret, Text, 32)], "UUID");
    let authority = Column { repeats: true, ..column("PAI", Public, Base64, 600) };
    let matter = vec![
        column("serial", Public, Text, 32),
        column("DAC", Public, Base64, 600),
        column("DAC private key", Secret, Hex, 32),
        authority,
        column("SPAKE2+ verifier", Secret, Base64, 97),
        column("passcode", Secret, Text, 8),
    ];
    check(matter, "serial");
    check(vec![column("MAC address", Public, Text, 17)], "MAC address");
}

#[test]
fn a_schema_that_cannot_keep_its_promises_is_refused() {
    let good = || vec![column("id", Public, Text, 8), column("key", Secret, Hex, 16)];
    let check = |change: &dyn Fn(&mut Vec<Column>), code: &str, delimiter, error| {
        let mut columns = good();
        change(&mut columns);
        assert_eq!(Schema::new(columns, code, delimiter), Err(error));
    };
    let none = |columns: &mut Vec<Column>| columns.clear();
    check(&none, "id", ',', SchemaError::ColumnCount { found: 0 });
    let many = |columns: &mut Vec<Column>| {
        columns.extend((2..17).map(|n| column(&n.to_string(), Public, Text, 8)));
    };
    check(&many, "id", ',', SchemaError::ColumnCount { found: 17 });
    check(&|_| {}, "id", '|', SchemaError::Delimiter);
    check(&|c| c[1].name.clear(), "id", ',', SchemaError::Name { column: 2 });
    check(&|c| c[1].name = " key".into(), "id", ',', SchemaError::Name { column: 2 });
    check(&|c| c[1].name = "a,b".into(), "id", ',', SchemaError::Name { column: 2 });
    check(&|c| c[1].name = "a\tb".into(), "id", ',', SchemaError::Name { column: 2 });
    check(&|c| c[1].name = "k".repeat(65), "id", ',', SchemaError::Name { column: 2 });
    check(&|c| c[1].name = "id".into(), "id", ',', SchemaError::NameTwice { column: 2 });
    check(&|c| c[1].bytes_min = 0, "id", ',', SchemaError::Lengths { column: 2 });
    check(&|c| c[1].bytes_min = 17, "id", ',', SchemaError::Lengths { column: 2 });
    check(&|c| c[1].bytes_max = 2049, "id", ',', SchemaError::Lengths { column: 2 });
    check(&|c| c[1].repeats = true, "id", ',', SchemaError::SecretRepeats { column: 2 });
    check(&|_| {}, "key", ',', SchemaError::Code);
    check(&|_| {}, "other", ',', SchemaError::Code);
    check(&|c| c[0].repeats = true, "id", ',', SchemaError::Code);
    check(&|c| c[0].form = Hex, "id", ',', SchemaError::Code);
    check(&|c| c[0].bytes_max = 65, "id", ',', SchemaError::Code);
    let long = |columns: &mut Vec<Column>| {
        columns.extend(["a", "b"].map(|name| column(name, Secret, Hex, 2000)));
    };
    check(&long, "id", ',', SchemaError::TooLong);
}

#[test]
fn a_schema_file_with_unknown_words_or_a_broken_promise_is_refused() {
    let good = serde_json::to_string(&schema()).unwrap();
    let check = |from: &str, to: &str| {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(serde_json::from_str::<Schema>(&bad).is_err(), "{bad}");
    };
    check("\"public\"", "\"open\"");
    check("\"hex\"", "\"octal\"");
    check("\"code\":\"DeviceName\"", "\"code\":\"DeviceSecret\"");
    check("\"delimiter\":\",\"", "\"delimiter\":\"x\"");
    check("\"repeats\"", "\"repeat\"");
    check("\"columns\"", "\"rows\"");
    let comma = good.replacen(",\"delimiter\":\",\"", "", 1);
    assert_ne!(comma, good);
    assert_eq!(serde_json::from_str::<Schema>(&comma).unwrap(), schema());
}
