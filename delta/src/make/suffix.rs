//! Suffix arrays by induced sorting (Nong, Zhang and Chan 2009), linear in time and memory.

/// The starting positions of all suffixes of `text`, in lexicographic order.
pub(crate) fn suffix_array(text: &[u8]) -> Vec<u32> {
    induced(text, 255)
}

const EMPTY: u32 = u32::MAX;

/// A letter of a text: a byte, or the name of a piece of a longer text.
trait Letter: Copy + Ord {
    fn index(self) -> usize;
}

impl Letter for u8 {
    fn index(self) -> usize {
        usize::from(self)
    }
}

impl Letter for u32 {
    fn index(self) -> usize {
        self as usize
    }
}

fn induced<L: Letter>(s: &[L], upper: usize) -> Vec<u32> {
    let n = s.len();
    match n {
        0 => return Vec::new(),
        1 => return vec![0],
        2 => return if s[0] < s[1] { vec![0, 1] } else { vec![1, 0] },
        _ => {}
    }
    let mut smaller = vec![false; n];
    for i in (0..n - 1).rev() {
        smaller[i] = if s[i] == s[i + 1] { smaller[i + 1] } else { s[i] < s[i + 1] };
    }
    let mut sum_l = vec![0_u32; upper + 2];
    let mut sum_s = vec![0_u32; upper + 2];
    for i in 0..n {
        let c = s[i].index();
        if smaller[i] {
            if c < upper {
                sum_l[c + 1] += 1;
            }
        } else {
            sum_s[c] += 1;
        }
    }
    for i in 0..=upper {
        sum_s[i] += sum_l[i];
        if i < upper {
            sum_l[i + 1] += sum_s[i];
        }
    }
    // Behind the last letter's bucket: it has no suffix smaller than the one after it.
    sum_l[upper + 1] = n as u32;
    let mut sa = vec![EMPTY; n];
    let induce = |sa: &mut Vec<u32>, lms: &[u32]| {
        sa.fill(EMPTY);
        let mut at = sum_s.clone();
        for d in lms {
            if *d as usize == n {
                continue;
            }
            let c = s[*d as usize].index();
            sa[at[c] as usize] = *d;
            at[c] += 1;
        }
        at.copy_from_slice(&sum_l);
        let last = s[n - 1].index();
        sa[at[last] as usize] = n as u32 - 1;
        at[last] += 1;
        // Whether a suffix is smaller than the one after it follows from the letters and from where
        // the latter lies: no look into `smaller`, which is far away in memory.
        for i in 0..n {
            let v = sa[i];
            if v != EMPTY && v >= 1 && s[v as usize - 1] >= s[v as usize] {
                let c = s[v as usize - 1].index();
                sa[at[c] as usize] = v - 1;
                at[c] += 1;
            }
        }
        at.copy_from_slice(&sum_l);
        for i in (0..n).rev() {
            let v = sa[i];
            if v == EMPTY || v == 0 {
                continue;
            }
            let (before, letter) = (s[v as usize - 1], s[v as usize]);
            let placed = || i as u32 >= at[letter.index() + 1];
            if before < letter || (before == letter && placed()) {
                let c = before.index() + 1;
                at[c] -= 1;
                sa[at[c] as usize] = v - 1;
            }
        }
    };
    let mut lms_map = vec![EMPTY; n + 1];
    let mut lms = Vec::new();
    for i in 1..n {
        if !smaller[i - 1] && smaller[i] {
            lms_map[i] = lms.len() as u32;
            lms.push(i as u32);
        }
    }
    let m = lms.len();
    induce(&mut sa, &lms);
    if m > 0 {
        let sorted: Vec<u32> =
            sa.iter().copied().filter(|v| *v != EMPTY && lms_map[*v as usize] != EMPTY).collect();
        let mut reduced = vec![0_u32; m];
        let mut rank = 0_u32;
        reduced[lms_map[sorted[0] as usize] as usize] = 0;
        for i in 1..m {
            let (mut l, mut r) = (sorted[i - 1] as usize, sorted[i] as usize);
            let end = |x: usize| {
                let next = lms_map[x] as usize + 1;
                if next < m { lms[next] as usize } else { n }
            };
            let (end_l, end_r) = (end(l), end(r));
            let mut same = true;
            if end_l - l != end_r - r {
                same = false;
            } else {
                while l < end_l {
                    if s[l] != s[r] {
                        break;
                    }
                    l += 1;
                    r += 1;
                }
                if l == n || r == n || s[l] != s[r] {
                    same = false;
                }
            }
            if !same {
                rank += 1;
            }
            reduced[lms_map[sorted[i] as usize] as usize] = rank;
        }
        let order = induced(&reduced, rank as usize);
        let sorted: Vec<u32> = order.iter().map(|i| lms[*i as usize]).collect();
        induce(&mut sa, &sorted);
    }
    sa
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &[u8]) {
        let mut slow: Vec<u32> = (0..text.len() as u32).collect();
        slow.sort_by(|a, b| text[*a as usize..].cmp(&text[*b as usize..]));
        assert_eq!(suffix_array(text), slow, "{text:?}");
    }

    #[test]
    fn suffixes_come_in_the_order_a_plain_sort_gives() {
        check(b"");
        check(b"a");
        check(b"ba");
        check(b"mississippi");
        check(&[0; 40]);
        check(&[255; 9]);
        let mut x = 7_u32;
        for len in 0..200 {
            let text: Vec<u8> = (0..len)
                .map(|_| {
                    x = x.wrapping_mul(1_103_515_245).wrapping_add(12_345);
                    (x >> 16) as u8 % [2, 3, 200][len % 3]
                })
                .collect();
            check(&text);
        }
    }
}
