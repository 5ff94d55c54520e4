//! The low-water alarm: whether what is left lasts, as a pure function.

/// What is left, and how fast it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// Credentials (or activation indices) that nobody has.
    pub left: u64,
    /// How many were spent in the last `over_days` days.
    pub spent: u64,
    /// The days over which `spent` was counted.
    pub over_days: u32,
}

/// When to raise the alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Marks {
    /// At this many left, whatever the pace; 0: never by count.
    pub few: u64,
    /// When the present pace empties the stock within this many days; 0: never by pace.
    pub days: u32,
}

/// The alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Water {
    /// None is left: the line stops at the next new chip.
    Empty,
    /// Order more.
    Low,
    /// Nothing to do.
    Enough,
}

/// Judges a stock. Fewer left or a faster pace never make the answer better.
#[must_use]
pub fn water(stock: Stock, marks: Marks) -> Water {
    if stock.left == 0 {
        return Water::Empty;
    }
    let lasts = u128::from(stock.left) * u128::from(stock.over_days);
    let needed = u128::from(stock.spent) * u128::from(marks.days);
    let soon = stock.spent > 0 && stock.over_days > 0 && marks.days > 0 && lasts <= needed;
    if stock.left <= marks.few || soon { Water::Low } else { Water::Enough }
}

impl Stock {
    /// Whole days until it is empty at the present pace; `None` without a pace.
    #[must_use]
    pub fn days_left(&self) -> Option<u64> {
        if self.over_days == 0 {
            return None;
        }
        let lasts = u128::from(self.left) * u128::from(self.over_days);
        let days = lasts.checked_div(u128::from(self.spent))?;
        Some(u64::try_from(days).unwrap_or(u64::MAX))
    }
}
