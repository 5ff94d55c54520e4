//! The real firmware, cut where a seed says: the board, its worker, the daemon, or everything.

use station_daemon::api::view::SlotState;

use super::super::stocked;
use super::loss::{Disk, Draw};
use super::processes::{CUT, Pair, calls_of, each, ended, follow, set_in_again};
use super::small::{Counted, Visit};
use super::tracer::{Call, Verdict, Who};
use super::{copy_station, keep};

/// Where the power goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// From the board, before programming this word.
    Board(u64),
    /// From the worker, before this one of the things it says.
    Worker(usize),
    /// From the daemon, before this call.
    Daemon(usize),
    /// From everything, before this call of the daemon.
    Everything(usize),
}

/// What there is to choose from.
struct Points {
    words: u64,
    worker_says: usize,
    daemon_calls: usize,
}

impl Points {
    /// The seed says whose power goes away, and draws where.
    fn draw(&self, seed: usize, draw: &mut Draw) -> Cut {
        let below = |draw: &mut Draw, end: usize| {
            usize::try_from(draw.below(end as u64)).expect("a small number")
        };
        match seed % 4 {
            0 => Cut::Board(draw.below(self.words)),
            1 => Cut::Worker(below(draw, self.worker_says)),
            2 => Cut::Daemon(below(draw, self.daemon_calls)),
            _ => Cut::Everything(below(draw, self.daemon_calls)),
        }
    }
}

/// One visit of the demo firmware for each seed, cut and set in again.
fn seeds(seeds: std::ops::Range<u64>) {
    let visit = Visit::demo();
    let world = visit.world(2);
    stocked(&world);
    let fresh = world.path().join("before.cells");
    keep(&fresh, &visit.before);
    let points = {
        let pair = Pair::new();
        let before = Counted::of(&pair.cut);
        let daemon_calls = calls_of(&world, &visit, &pair, &fresh, Who::Daemon).len();
        let words = Counted::of(&pair.cut).since(before).programmed_words;
        let worker_says = calls_of(&world, &visit, &pair, &fresh, Who::Worker).len();
        Points { words, worker_says, daemon_calls }
    };
    let all: Vec<usize> = seeds.map(|seed| usize::try_from(seed).expect("small")).collect();
    each(&all, |pair, seed| {
        let mut draw = Draw(seed as u64);
        let cut = points.draw(seed, &mut draw);
        println!("seed {seed}: {cut:?}");
        let folder = tempfile::tempdir().expect("folder");
        copy_station(world.path(), folder.path());
        pair.renew(&fresh);
        if let Cut::Board(word) = cut {
            pair.cut.pull(&format!("cut {word}"));
        }
        pair.cut.pull("insert");
        let (mut made, mut shown) = (0, false);
        let mut synced = Disk::read(folder.path());
        let mut left = None;
        let cells = folder.path().join("cut.cells");
        let judge = |call| {
            let here = made;
            made += 1;
            match cut {
                Cut::Worker(point) | Cut::Daemon(point) if point == here => Verdict::Kill,
                Cut::Everything(point) => {
                    let now = Disk::read(folder.path());
                    if point == here {
                        pair.cut.pull(&format!("dump {}", cells.display()));
                        left = Some(now.after_cut(&synced, &mut draw));
                        return Verdict::Kill;
                    }
                    if call == Call::Commit {
                        synced = now;
                    }
                    Verdict::Go
                }
                Cut::Board(_) | Cut::Worker(_) | Cut::Daemon(_) => Verdict::Go,
            }
        };
        let who = match cut {
            Cut::Worker(_) => Who::Worker,
            Cut::Board(_) | Cut::Daemon(_) | Cut::Everything(_) => Who::Daemon,
        };
        let mut again = set_in_again(&pair.cut);
        follow(folder.path(), &pair.slots(), who, judge, |view| {
            shown |= ended(view, CUT) == Some(SlotState::Pass);
            again(view)
        });
        if let Some(left) = left {
            left.write(folder.path());
            pair.cut.pull("remove");
            pair.cut.pull(&format!("load {}", cells.display()));
            pair.cut.pull("insert");
        }
        pair.is_recorded(folder.path(), &world, &visit, shown);
        pair.goes_on(folder.path(), &world, &visit);
    });
    println!(
        "{} seeds over {} words, {} things the worker says, {} calls of the daemon; {}",
        all.len(),
        points.words,
        points.worker_says,
        points.daemon_calls,
        visit.name
    );
}

#[test]
fn the_real_firmware_cut_where_a_seed_says_passes_later_with_its_one_code() {
    seeds(0..4);
}

#[cfg(feature = "deep")]
mod deep {
    #[test]
    fn the_real_firmware_cut_at_sixty_four_drawn_places_passes_later_with_its_one_code() {
        super::seeds(0..64);
    }
}
