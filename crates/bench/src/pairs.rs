//! What is run with so many offices, how often, in which order.

use anyhow::{Context, Result};

use crate::report::{Count, Pair, Run, median};
use crate::run::{Sizes, Times, full, paced};
use crate::say;
use crate::side::{Side, Sides};

/// What to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) offices: usize,
    pub(crate) window: usize,
    pub(crate) pairs: u16,
    pub(crate) times: Times,
}

impl Plan {
    /// The plain relay runs half as long: only a ratio to it is wanted, and all of it is long.
    fn times(&self, side: Side) -> Times {
        match side {
            Side::Product | Side::Floor => self.times,
            Side::Plain => Times { measured: self.times.measured / 2, ..self.times },
        }
    }
}

/// Whoever goes first finds the servers otherwise than whoever follows, so they take turns. The very first
/// is the product: the relays' messages are to be as long as its.
fn turns(number: u16) -> [Side; 3] {
    let mut turns = [Side::Product, Side::Floor, Side::Plain];
    if number.is_multiple_of(2) {
        turns.reverse();
    }
    turns
}

/// Runs all of it.
pub(crate) async fn measure(plan: &Plan, sides: &Sides) -> Result<Count> {
    let (mut sizes, mut pairs) = (None, Vec::new());
    for number in 1..=plan.pairs {
        let pair = pair(plan, sides, number, &mut sizes).await?;
        say(&format!(
            "{} offices, pair {number} of {}: product {:.0}, floor {:.0} lives a second, ratio {:.3}; \
             plain relay {:.0} round trips a second, ratio4 {:.3}",
            plan.offices,
            plan.pairs,
            pair.product.lives_per_second,
            pair.floor.lives_per_second,
            pair.ratio(),
            pair.plain.lives_per_second,
            pair.ratio4(),
        ))?;
        pairs.push(pair);
    }
    let half = |run: fn(&Pair) -> &Run| median(pairs.iter().map(|pair| run(pair).lives_per_second)) / 2.0;
    let product = paced(sides, Side::Product, sizes, half(|pair| &pair.product), plan.times).await?;
    let floor = paced(sides, Side::Floor, sizes, half(|pair| &pair.floor), plan.times).await?;
    Ok(Count::new(plan.offices, pairs, product, floor))
}

async fn pair(plan: &Plan, sides: &Sides, number: u16, sizes: &mut Option<Sizes>) -> Result<Pair> {
    let turns = turns(number);
    let (mut product, mut floor, mut plain) = (None, None, None);
    for side in turns {
        let (run, seen) = full(sides, side, *sizes, plan.window, plan.times(side)).await?;
        let slot = match side {
            Side::Product => {
                sizes.get_or_insert(seen);
                &mut product
            }
            Side::Floor => &mut floor,
            Side::Plain => &mut plain,
        };
        *slot = Some(run);
    }
    let run = |run: Option<Run>| run.context("a side that has no turn");
    Ok(Pair { order: turns.map(Side::name), product: run(product)?, floor: run(floor)?, plain: run(plain)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_take_turns_and_the_product_begins() {
        assert_eq!(turns(1), [Side::Product, Side::Floor, Side::Plain]);
        assert_eq!(turns(2), [Side::Plain, Side::Floor, Side::Product]);
        assert_eq!(turns(3), turns(1));
    }
}
