//! Bodies from outside: never larger than allowed, neither on the wire nor unpacked.

use std::io::Read;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use protocol::ProblemType;
use serde::de::DeserializeOwned;

use crate::refusal::Refusal;

/// The largest zstd window accepted: 8 MiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Reads a body of at most `bytes_max` bytes.
pub(crate) async fn read_bytes(body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    match Limited::new(body, bytes_max).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Err(error) => Err(Refusal::because(
            ProblemType::RequestMalformed,
            format!("the body broke off: {error}"),
        )),
    }
}

/// Reads a JSON body of at most `bytes_max` bytes, compressed with zstd if its headers say so.
pub(crate) async fn read_json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<T, Refusal> {
    let bytes = read_bytes(body, bytes_max).await?;
    let malformed = |detail: String| Refusal::because(ProblemType::RequestMalformed, detail);
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
    let plain = match encoding {
        None => bytes.to_vec(),
        Some(b"zstd") => unpack(&bytes, bytes_max)?,
        Some(_) => return Err(malformed("the only content encoding here is zstd".to_owned())),
    };
    serde_json::from_slice(&plain).map_err(|error| malformed(error.to_string()))
}

fn unpack(packed: &[u8], bytes_max: usize) -> Result<Vec<u8>, Refusal> {
    let broken = |error: std::io::Error| {
        Refusal::because(ProblemType::RequestMalformed, format!("unpacking the body: {error}"))
    };
    let mut decoder = zstd::Decoder::with_buffer(packed).map_err(broken)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(broken)?;
    let mut plain = Vec::new();
    decoder.take(bytes_max as u64 + 1).read_to_end(&mut plain).map_err(broken)?;
    if plain.len() > bytes_max { Err(too_large(bytes_max)) } else { Ok(plain) }
}

fn too_large(bytes_max: usize) -> Refusal {
    Refusal::because(ProblemType::RequestTooLarge, format!("at most {bytes_max} bytes"))
}

/// For a path nobody serves.
pub(crate) async fn nothing_there() -> Refusal {
    Refusal::of(ProblemType::NotFound)
}

/// For a method nobody serves there.
pub(crate) async fn method_not_allowed() -> Refusal {
    Refusal::of(ProblemType::MethodNotAllowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_body_that_unpacks_to_a_large_one_is_refused_without_unpacking_it_whole() {
        let bomb = zstd::encode_all(std::io::repeat(0).take(1 << 30), 3).unwrap();
        assert!(bomb.len() < 1 << 20, "{}", bomb.len());
        let refusal = unpack(&bomb, 4096).unwrap_err();
        assert_eq!(refusal.0.kind, ProblemType::RequestTooLarge);
    }

    #[test]
    fn a_broken_packing_is_malformed() {
        let packed = zstd::encode_all(&b"{}"[..], 3).unwrap();
        assert_eq!(unpack(&packed, 10).unwrap(), b"{}");
        for end in 0..packed.len() {
            assert!(unpack(&packed[..end], 10).is_err() || end == 0, "cut at {end}");
        }
        assert!(unpack(b"not zstd", 10).is_err());
    }
}
