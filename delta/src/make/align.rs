//! Alignment: which parts of the new image are copies of what, by the cheapest path.
//!
//! A Viterbi search over the new image. The states at a byte are "literal" and a few diagonals
//! (source minus new offset); suffix-array neighbours propose new diagonals; a state that is dearer
//! than the best by more than a switch is dropped, because the best could always switch to it later.
//! The prices are rough bits; nothing here is part of the format.

use super::suffix::suffix_array;

/// What is known about both images before alignment.
pub(crate) struct Views<'a> {
    pub(crate) old: &'a [u8],
    pub(crate) new: &'a [u8],
    /// The same with position-dependent fields cleared.
    pub(crate) old_masked: &'a [u8],
    pub(crate) new_masked: &'a [u8],
    pub(crate) floor: Option<Floor>,
}

/// What an update in place no longer has: while page k of the new image is made, what stands before
/// page k − `reach`, where the old image was moved up by `lift` pages first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floor {
    pub(crate) page_bytes: usize,
    pub(crate) reach: usize,
    pub(crate) lift: usize,
}

impl Floor {
    /// Whether the old byte `source` is still there for new offset `at`. The byte beside it is
    /// looked at too.
    pub(crate) fn has(self, source: usize, at: usize) -> bool {
        (source & !1) / self.page_bytes + self.lift + self.reach >= at / self.page_bytes
    }
}

/// A stretch of the new image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) at: u32,
    pub(crate) len: u32,
    /// Offset in old ++ new to copy from; `None` for literals.
    pub(crate) source: Option<u32>,
}

/// Prices, in 1/256 bit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prices {
    pub(crate) right: u64,
    pub(crate) right_again: u64,
    pub(crate) aimed: u64,
    pub(crate) wrong: u64,
    pub(crate) wrong_again: u64,
    pub(crate) literal: u64,
    pub(crate) to_literal: u64,
    pub(crate) switch: u64,
    pub(crate) per_bit: u64,
}

impl Prices {
    pub(crate) const GUESSED: Self = Self {
        right: 6,
        right_again: 250,
        aimed: 250,
        wrong: 2500,
        wrong_again: 1900,
        literal: 1600,
        to_literal: 512,
        switch: 4200,
        per_bit: 256,
    };
}

#[cfg(feature = "train")]
impl Prices {
    /// For each price the guess with this one `numerator` / `denominator` as large.
    pub(crate) fn beside(numerator: u64, denominator: u64) -> [(&'static str, Self); 9] {
        let with = |name, of: fn(&mut Self) -> &mut u64| {
            let mut prices = Self::GUESSED;
            let price = of(&mut prices);
            *price = *price * numerator / denominator;
            (name, prices)
        };
        [
            with("right", |p| &mut p.right),
            with("right again", |p| &mut p.right_again),
            with("aimed", |p| &mut p.aimed),
            with("wrong", |p| &mut p.wrong),
            with("wrong again", |p| &mut p.wrong_again),
            with("literal", |p| &mut p.literal),
            with("to literal", |p| &mut p.to_literal),
            with("switch", |p| &mut p.switch),
            with("per bit", |p| &mut p.per_bit),
        ]
    }
}

/// Nodes kept before those that no state needs any more are thrown out.
const NODES_MAX: usize = 1 << 20;
/// Memory of the nodes: they may double before the next time, and are copied then.
pub(crate) const NODES_BYTES_MAX: u64 = 3 * (NODES_MAX * size_of::<Node>()) as u64;
const STATES_MAX: usize = 16;
const SEED_BYTES_MIN: usize = 4;
const LOOK_AHEAD: usize = 32;
const LITERAL: i64 = i64::MIN;

#[derive(Clone, Copy)]
struct State {
    diagonal: i64,
    cost: u64,
    node: u32,
    last_wrong: bool,
}

#[derive(Clone, Copy)]
struct Node {
    at: u32,
    diagonal: i64,
    /// Diagonal of the last copy from the old image before this node.
    before: i64,
    previous: u32,
}

/// Proposes sources for every place of the new image.
pub(crate) struct Seeds {
    array: Vec<u32>,
    rank: Vec<u32>,
    /// Nearest smaller and greater rank that lies in the old image.
    below: Vec<u32>,
    above: Vec<u32>,
    /// Nearest neighbours among earlier suffixes (old or new), by new offset.
    earlier: Vec<(u32, u32)>,
}

const NOWHERE: u32 = u32::MAX;

impl Seeds {
    pub(crate) fn new(text: &[u8], old_len: usize) -> Self {
        let array = suffix_array(text);
        let n = array.len();
        let mut rank = vec![0_u32; n];
        for (r, at) in array.iter().enumerate() {
            rank[*at as usize] = r as u32;
        }
        let mut below = vec![NOWHERE; n];
        let mut above = vec![NOWHERE; n];
        let mut last = NOWHERE;
        for r in 0..n {
            below[r] = last;
            if (array[r] as usize) < old_len {
                last = r as u32;
            }
        }
        last = NOWHERE;
        for r in (0..n).rev() {
            above[r] = last;
            if (array[r] as usize) < old_len {
                last = r as u32;
            }
        }
        let mut previous: Vec<u32> = (0..n as u32).map(|r| r.wrapping_sub(1)).collect();
        let mut next: Vec<u32> =
            (0..n as u32).map(|r| if r as usize + 1 < n { r + 1 } else { NOWHERE }).collect();
        let mut earlier = vec![(NOWHERE, NOWHERE); n - old_len];
        for at in (old_len..n).rev() {
            let r = rank[at] as usize;
            let (p, q) = (previous[r], next[r]);
            earlier[at - old_len] = (p, q);
            if p != NOWHERE {
                next[p as usize] = q;
            }
            if q != NOWHERE {
                previous[q as usize] = p;
            }
        }
        Self { array, rank, below, above, earlier }
    }

    /// Candidate sources for new offset `at`, best guesses first; may repeat.
    fn of(&self, at: usize, old_len: usize, into: &mut Vec<u32>) {
        into.clear();
        let r = self.rank[old_len + at];
        let (mut down, mut up) = (self.below[r as usize], self.above[r as usize]);
        for _ in 0..3 {
            if down != NOWHERE {
                into.push(self.array[down as usize]);
                down = self.below[down as usize];
            }
            if up != NOWHERE {
                into.push(self.array[up as usize]);
                up = self.above[up as usize];
            }
        }
        for r in [self.earlier[at].0, self.earlier[at].1] {
            if r != NOWHERE {
                into.push(self.array[r as usize]);
            }
        }
    }
}

fn bits(value: u64) -> u64 {
    u64::from(64 - value.leading_zeros())
}

/// How many bytes agree from here, at most [`LOOK_AHEAD`]; `known` of them are known to.
fn agreeing(a: &[u8], b: &[u8], known: usize) -> usize {
    let most = a.len().min(b.len()).min(LOOK_AHEAD);
    let known = known.min(most);
    let differs = a[known..most].iter().zip(&b[known..most]).position(|(a, b)| a != b);
    differs.map_or(most, |more| known + more)
}

/// The cheapest cut of the new image into copies and literals.
pub(crate) fn align(views: &Views<'_>, seeds: &Seeds, prices: &Prices) -> Vec<Piece> {
    let old_len = views.old.len();
    let new_len = views.new.len();
    let raw = |at: usize| if at < old_len { views.old[at] } else { views.new[at - old_len] };
    let masked = |at: usize| {
        if at < old_len { views.old_masked[at] } else { views.new_masked[at - old_len] }
    };
    // What follows in the same image, with fields cleared.
    let rest = |source: usize| match source.checked_sub(old_len) {
        None => &views.old_masked[source..],
        Some(at) => &views.new_masked[at..],
    };
    let there = |source: usize, at: usize| {
        source >= old_len || views.floor.is_none_or(|floor| floor.has(source, at))
    };
    let ahead = |source: usize, at: usize, known: usize| {
        agreeing(rest(source), &views.new_masked[at..], known)
    };
    let mut nodes = vec![Node { at: 0, diagonal: LITERAL, before: 0, previous: 0 }];
    let mut states = vec![State { diagonal: LITERAL, cost: 0, node: 0, last_wrong: false }];
    let mut candidates = Vec::new();
    let switch = |before: i64, diagonal: i64, at: usize| {
        let source = diagonal + at as i64;
        if (source as usize) < old_len {
            let turn = (diagonal - before).unsigned_abs();
            if turn == 0 {
                prices.switch - 4 * 256
            } else {
                prices.switch + prices.per_bit * bits(turn)
            }
        } else {
            prices.switch + prices.per_bit * bits((old_len as i64 - diagonal).unsigned_abs())
        }
    };
    let mut nodes_max = NODES_MAX;
    // The best state's diagonal, and up to where it is known to agree with the new image.
    let (mut agreed, mut agreed_to) = (LITERAL, 0);
    for at in 0..new_len {
        let best = states.iter().copied().min_by_key(|s| s.cost).unwrap_or(State {
            diagonal: LITERAL,
            cost: 0,
            node: 0,
            last_wrong: false,
        });
        let best_node = nodes[best.node as usize];
        let before = if best.diagonal != LITERAL && best.diagonal + (at as i64) < old_len as i64 {
            best.diagonal
        } else {
            best_node.before
        };
        let best_ahead = if best.diagonal == LITERAL {
            0
        } else {
            let source = (best.diagonal + at as i64) as usize;
            if source < old_len + at && source != old_len {
                let known = if agreed == best.diagonal { agreed_to.max(at) - at } else { 0 };
                let len = ahead(source, at, known);
                (agreed, agreed_to) = (best.diagonal, at + len);
                len
            } else {
                0
            }
        };
        if best_ahead < LOOK_AHEAD {
            seeds.of(at, old_len, &mut candidates);
            let again = before + at as i64;
            if again >= 0 && (again as usize) < old_len {
                candidates.push(again as u32);
            }
            for source in &candidates {
                let diagonal = i64::from(*source) - at as i64;
                if states.iter().any(|s| s.diagonal == diagonal) {
                    continue;
                }
                if !there(*source as usize, at) {
                    continue;
                }
                let len = ahead(*source as usize, at, 0);
                if len < SEED_BYTES_MIN || len <= best_ahead {
                    continue;
                }
                let cost = best.cost + switch(before, diagonal, at);
                nodes.push(Node { at: at as u32, diagonal, before, previous: best.node });
                states.push(State {
                    diagonal,
                    cost,
                    node: nodes.len() as u32 - 1,
                    last_wrong: false,
                });
            }
        }
        let to_literal = best.cost + prices.to_literal;
        match states.iter_mut().find(|s| s.diagonal == LITERAL) {
            Some(state) if state.cost <= to_literal => {}
            found => {
                nodes.push(Node { at: at as u32, diagonal: LITERAL, before, previous: best.node });
                let state = State {
                    diagonal: LITERAL,
                    cost: to_literal,
                    node: nodes.len() as u32 - 1,
                    last_wrong: false,
                };
                match found {
                    Some(old) => *old = state,
                    None => states.push(state),
                }
            }
        }
        let byte = views.new[at];
        let mask = views.new_masked[at];
        states.retain_mut(|state| {
            if state.diagonal == LITERAL {
                state.cost += prices.literal;
                return true;
            }
            let source = state.diagonal + at as i64;
            let began = i64::from(nodes[state.node as usize].at) + state.diagonal;
            if source < 0
                || source >= (old_len + at) as i64
                || (began < old_len as i64 && source >= old_len as i64)
            {
                return false;
            }
            let source = source as usize;
            if !there(source, at) {
                return false;
            }
            let price = if raw(source) == byte {
                if state.last_wrong { prices.right_again } else { prices.right }
            } else if masked(source) == mask {
                prices.aimed
            } else if state.last_wrong {
                prices.wrong_again
            } else {
                prices.wrong
            };
            state.last_wrong = raw(source) != byte && masked(source) != mask;
            state.cost += price;
            true
        });
        let floor = states.iter().map(|s| s.cost).min().unwrap_or(0);
        let ceiling = floor + prices.switch + prices.per_bit * 24;
        states.retain(|s| s.cost < ceiling);
        if states.len() > STATES_MAX {
            states.sort_by_key(|s| s.cost);
            states.truncate(STATES_MAX);
        }
        if nodes.len() > nodes_max {
            sweep(&mut nodes, &mut states);
            nodes_max = NODES_MAX.max(2 * nodes.len());
        }
    }
    pieces_of(&nodes, &states, new_len)
}

/// Throws out the nodes that no state leads to.
fn sweep(nodes: &mut Vec<Node>, states: &mut [State]) {
    let mut to = vec![NOWHERE; nodes.len()];
    to[0] = 0;
    for state in &*states {
        let mut node = state.node;
        while to[node as usize] == NOWHERE {
            to[node as usize] = 0;
            node = nodes[node as usize].previous;
        }
    }
    let mut kept = Vec::new();
    for (node, to) in nodes.iter().zip(&mut to) {
        if *to != NOWHERE {
            *to = kept.len() as u32;
            kept.push(*node);
        }
    }
    for node in &mut kept {
        node.previous = to[node.previous as usize];
    }
    for state in states {
        state.node = to[state.node as usize];
    }
    *nodes = kept;
}

fn pieces_of(nodes: &[Node], states: &[State], new_len: usize) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut end = new_len as u32;
    let mut node = states.iter().min_by_key(|s| s.cost).map_or(0, |s| s.node);
    loop {
        let Node { at, diagonal, previous, .. } = nodes[node as usize];
        if at < end {
            let source = (diagonal != LITERAL).then(|| (i64::from(at) + diagonal) as u32);
            pieces.push(Piece { at, len: end - at, source });
            end = at;
        }
        if node == 0 {
            break;
        }
        node = previous;
    }
    pieces.reverse();
    pieces
}
