//! `delta train`: writes `prior.rs`, or shows what leaving each product out costs; `delta tune`: the
//! same for the prices of the alignment.

use anyhow::{Context, Result};
use delta::make::train::{Pair, Prior, prices};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;

const ROUNDS: usize = 2;

/// Folders that belong to one product though their names begin differently.
const SAME: [(&str, &str); 5] = [
    ("mbv1", "micropython"),
    ("mbv2", "micropython"),
    ("detools", "micropython"),
    ("coldcard", "micropython"),
    ("pybricks", "micropython"),
];

fn pairs(folder: &Path) -> Result<Vec<Pair>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).context("listing the pairs")? {
        let entry = entry.context("listing the pairs")?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Not a microcontroller; it has no instruction set here.
        if entry.path().join("old.bin").exists() && !name.starts_with("libpython") {
            names.insert(name);
        }
    }
    let mut pairs = Vec::new();
    for name in names {
        let old = std::fs::read(folder.join(&name).join("old.bin")).context("reading old.bin")?;
        let new = std::fs::read(folder.join(&name).join("new.bin")).context("reading new.bin")?;
        let first = name.split('-').next().unwrap_or(&name);
        let product = SAME.iter().find(|(n, _)| *n == first).map_or(first, |(_, p)| p);
        pairs.extend(Pair::new(&name, product, old, new));
    }
    Ok(pairs)
}

pub(crate) fn train(folder: &Path, leave_out: bool, output: Option<&Path>) -> Result<()> {
    let pairs = pairs(folder)?;
    let all: Vec<&Pair> = pairs.iter().collect();
    let mut out = std::io::stdout().lock();
    let whole = Prior::learn(&all, ROUNDS);
    if let Some(output) = output {
        super::replace(output, whole.source().as_bytes())?;
    }
    if !leave_out {
        return Ok(());
    }
    let flat = Prior::flat();
    let products: BTreeSet<&str> = pairs.iter().map(|p| p.product.as_str()).collect();
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    writeln!(out, "{:34} {:>8} {:>8} {:>8}", "body bytes with a prior:", "none", "others", "all")?;
    for product in products {
        let others: Vec<&Pair> = pairs.iter().filter(|p| p.product != product).collect();
        let learnt = Prior::learn(&others, ROUNDS);
        for pair in pairs.iter().filter(|p| p.product == product) {
            let sizes = [&flat, &learnt, &whole].map(|prior| pair.body_bytes(prior));
            if let [Some(none), Some(without), Some(with)] = sizes {
                writeln!(out, "{:34} {none:>8} {without:>8} {with:>8}", pair.name)?;
                *sums.entry("others").or_default() += (without as f64 / none as f64).ln();
                *sums.entry("all").or_default() += (with as f64 / none as f64).ln();
            }
        }
    }
    for (which, sum) in sums {
        let share = (sum / pairs.len() as f64).exp() * 100.0;
        writeln!(out, "geometric mean with the prior of {which}: {share:.2} % of none")?;
    }
    Ok(())
}

/// For each price of the alignment: what it costs to have it smaller or larger, and what the size that
/// suits all other products best does to a product left out.
pub(crate) fn tune(folder: &Path) -> Result<()> {
    let pairs = pairs(folder)?;
    let products: BTreeSet<&str> = pairs.iter().map(|p| p.product.as_str()).collect();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:12} {:>8} {:>8} {:>8}  folds: 3/4, 1, 4/3",
        "price", "3/4", "4/3", "left out"
    )?;
    for tried in prices(&pairs) {
        // Logarithm of bytes against the guess, by pair.
        let change = |pair: usize, way: usize| {
            (tried.bytes[pair][way] as f64 / tried.bytes[pair][1] as f64).ln()
        };
        // A product's pairs count as one.
        let of_product = |product: &str, way: usize| {
            let own = (0..pairs.len()).filter(|pair| pairs[*pair].product == product);
            let (sum, count) =
                own.fold((0.0, 0.0), |(s, n), pair| (s + change(pair, way), n + 1.0));
            sum / count
        };
        let total = |way: usize, without: &str| -> f64 {
            products.iter().filter(|p| **p != without).map(|p| of_product(p, way)).sum()
        };
        let (mut left_out, mut folds) = (0.0, [0; 3]);
        for product in &products {
            let best = [1, 0, 2]
                .into_iter()
                .min_by(|a, b| total(*a, product).total_cmp(&total(*b, product)));
            let best = best.unwrap_or(1);
            folds[best] += 1;
            left_out += of_product(product, best);
        }
        let share = |sum: f64| (sum / products.len() as f64).exp() * 100.0;
        let [less, more, left_out] = [total(0, ""), total(2, ""), left_out].map(share);
        let price = tried.price;
        writeln!(out, "{price:12} {less:>7.2}% {more:>7.2}% {left_out:>7.2}%  {folds:?}")?;
    }
    Ok(())
}
