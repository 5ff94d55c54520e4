//! Logarithms and logistic curves in integers: host and device agree to the bit.
//!
//! Probabilities are 16-bit fractions of 65,536; the logistic domain ("stretch") is in 1/256 of a
//! nat. The two tables are normative and printed in `FORMAT.md`.

/// `round(4096 · ln(1 + i/64))`.
const LN: [u16; 65] = [
    0, 64, 126, 188, 248, 308, 367, 425, 482, 539, 595, 650, 704, 757, 810, 862, 914, 965, 1015,
    1065, 1114, 1162, 1210, 1258, 1304, 1351, 1396, 1442, 1486, 1531, 1575, 1618, 1661, 1703, 1745,
    1787, 1828, 1869, 1909, 1949, 1989, 2028, 2067, 2105, 2143, 2181, 2218, 2255, 2292, 2329, 2365,
    2400, 2436, 2471, 2506, 2541, 2575, 2609, 2642, 2676, 2709, 2742, 2775, 2807, 2839,
];

/// `round(65536 / (1 + e^(-i/8)))`, at most 65,535.
const SQUASH: [u16; 93] = [
    32768, 34813, 36843, 38841, 40793, 42687, 44511, 46254, 47911, 49474, 50941, 52310, 53581,
    54754, 55834, 56822, 57724, 58544, 59287, 59959, 60565, 61109, 61598, 62036, 62428, 62778,
    63090, 63368, 63615, 63835, 64030, 64203, 64357, 64494, 64614, 64721, 64816, 64900, 64974,
    65039, 65097, 65149, 65194, 65234, 65269, 65300, 65328, 65352, 65374, 65393, 65410, 65425,
    65438, 65449, 65459, 65468, 65476, 65483, 65489, 65495, 65500, 65504, 65508, 65511, 65514,
    65517, 65519, 65521, 65523, 65524, 65526, 65527, 65528, 65529, 65530, 65530, 65531, 65532,
    65532, 65533, 65533, 65533, 65534, 65534, 65534, 65534, 65535, 65535, 65535, 65535, 65535,
    65535, 65535,
];

/// `4096 · ln(v)`, `1 ≤ v ≤ 65535`, by table and linear interpolation.
fn ln4096(v: u32) -> i32 {
    let v = v.clamp(1, 65_535);
    let top = 31 - v.leading_zeros();
    let fraction = (v << (15 - top)) & 0x7FFF;
    let low = entry(&LN, (fraction >> 9) as usize);
    let high = entry(&LN, (fraction >> 9) as usize + 1);
    top as i32 * 2839 + low + (((high - low) * (fraction & 511) as i32) >> 9)
}

fn entry(table: &[u16], at: usize) -> i32 {
    i32::from(table.get(at).copied().unwrap_or(u16::MAX))
}

/// `256 · ln(p / (1 − p))` for a probability of `p / 65536`, `1 ≤ p ≤ 65535`.
pub(crate) fn stretch(p: u32) -> i32 {
    (ln4096(p) - ln4096(65_536 - p.clamp(1, 65_535))) >> 4
}

/// The probability, of 65,536, whose stretch is `x / 256`; always `1 ≤ p ≤ 65535`.
pub(crate) fn squash(x: i32) -> u32 {
    let size = x.unsigned_abs().min(2943);
    let low = entry(&SQUASH, (size >> 5) as usize);
    let high = entry(&SQUASH, (size >> 5) as usize + 1);
    let p = low + (((high - low) * (size & 31) as i32) >> 5);
    if x < 0 { (65_536 - p) as u32 } else { p as u32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretch_and_squash_undo_each_other_within_one_part_in_a_hundred() {
        for p in 1..=65_535_u32 {
            let back = squash(stretch(p));
            let nearer = p.min(65_536 - p);
            assert!(back.abs_diff(p) <= 2 + nearer / 100, "{p} came back as {back}");
        }
    }

    #[test]
    fn stretch_never_falls_as_the_probability_grows() {
        for p in 2..=65_535_u32 {
            assert!(stretch(p) >= stretch(p - 1), "at {p}");
        }
    }
}
