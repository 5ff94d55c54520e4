//! The hub of these tests hands over shares of a pool, a product's secret, void units.

use activation::AllotmentCertificate;
use activation::pool::{
    Column, Credential, Fingerprint, Limits, Loan, OnlyFor, Pepper, Row, Schema, SealedCredential,
    Staging, import,
};
use protocol::{MacSecretStatement, VoidUnit, VoidsStatement};
use release::parcel::{ParcelBinding, ParcelSecret, seal_parcel};
use release::{Digest, Name, SystemRandom, WrapPublicKey};

use super::paper::{Office, PRODUCT, STATION, TENANT};

/// The key that credential number `number` of the pool carries: what must never lie on a disk.
pub(crate) fn key_of(number: u32) -> [u8; 16] {
    let mut key = [0xC5; 16];
    key[4..8].copy_from_slice(&number.to_be_bytes());
    key
}

/// The code of credential number `number` of the pool.
pub(crate) fn code_of(number: u32) -> String {
    format!("DEV-{number:06}")
}

pub(crate) fn schema() -> Schema {
    serde_json::from_value(serde_json::json!({
        "code": "id",
        "columns": [
            { "name": "id", "openness": "public", "form": "text", "bytes_min": 4, "bytes_max": 16 },
            { "name": "key", "openness": "secret", "form": "hex", "bytes_min": 16, "bytes_max": 16 },
        ],
    }))
    .expect("a schema")
}

struct Rows(Vec<Credential>);

impl Staging for Rows {
    type Error = std::convert::Infallible;
    type Kept = Vec<Credential>;

    fn seen(&mut self, _: &Column, _: Fingerprint) -> Result<Option<String>, Self::Error> {
        Ok(None)
    }

    fn stage(&mut self, row: Row) -> Result<(), Self::Error> {
        self.0.push(row.credential);
        Ok(())
    }

    fn keep(self, _: u32) -> Result<Self::Kept, Self::Error> {
        Ok(self.0)
    }
}

fn credentials(first: u32, count: u32) -> Vec<Credential> {
    let mut file = "id,key\n".to_owned();
    for number in first..first + count {
        file.push_str(&format!("{},{}\n", code_of(number), hex::encode(key_of(number))));
    }
    let pepper = Pepper::new(&[1; 32]);
    import(file.as_bytes(), &schema(), &pepper, Limits::default(), Rows(Vec::new())).expect("rows")
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

/// A share of credentials `first..first + count` of the pool, sealed for a station.
pub(crate) fn loan(
    office: &Office,
    certificate: AllotmentCertificate,
    first: u32,
    count: u32,
    only_for: Option<OnlyFor>,
    station: &WrapPublicKey,
) -> (String, Vec<u8>) {
    let allotment = certificate.allotment();
    let seal = |(index, credential): (u32, Credential)| -> SealedCredential {
        let sealed = credential.seal(index, |secrets, credential| {
            let secret = ParcelSecret::Credential { allotment, index, credential: *credential };
            let binding = ParcelBinding { tenant: name(TENANT), product: name(PRODUCT), secret };
            seal_parcel(secrets, station, &binding, &mut SystemRandom)
        });
        sealed.expect("sealed")
    };
    let loan = Loan {
        v: 1,
        tenant: TENANT.to_owned(),
        station: STATION.to_owned(),
        product: PRODUCT.to_owned(),
        certificate,
        schema: schema(),
        only_for,
        credentials: (0..).zip(credentials(first, count)).map(seal).collect(),
    };
    let payload = serde_json::to_string(&loan).expect("json");
    let bytes = office.state(Loan::KIND, payload);
    (format!("credentials/{}", hex::encode(allotment)), bytes)
}

/// A product's secret, sealed for a station.
pub(crate) fn mac_secret(
    office: &Office,
    secret: &[u8; 32],
    station: &WrapPublicKey,
) -> (String, Vec<u8>) {
    let secret_sha256 = Digest::of(secret);
    let binding = ParcelBinding {
        tenant: name(TENANT),
        product: name(PRODUCT),
        secret: ParcelSecret::Mac { secret_sha256 },
    };
    let sealed = seal_parcel(secret, station, &binding, &mut SystemRandom).expect("sealed");
    let statement = MacSecretStatement {
        v: 1,
        tenant: TENANT.parse().expect("a name"),
        station: STATION.parse().expect("a name"),
        product: PRODUCT.parse().expect("a name"),
        secret_sha256: protocol::Sha256(*secret_sha256.as_bytes()),
        sealed: hex::encode(sealed),
    };
    let payload = serde_json::to_string(&statement).expect("json");
    (format!("mac-secret/{PRODUCT}"), office.state(MacSecretStatement::KIND, payload))
}

/// The statement of void units.
pub(crate) fn voids(office: &Office, version: u64, uids: &[[u8; 8]]) -> (String, Vec<u8>) {
    let unit = |uid: &[u8; 8]| VoidUnit {
        product: PRODUCT.parse().expect("a name"),
        family: "nrf52".to_owned(),
        uid: hex::encode_upper(uid),
    };
    let statement = VoidsStatement {
        v: 1,
        tenant: TENANT.parse().expect("a name"),
        version,
        units: uids.iter().map(unit).collect(),
    };
    let payload = serde_json::to_string(&statement).expect("json");
    ("voids".to_owned(), office.state(VoidsStatement::KIND, payload))
}
