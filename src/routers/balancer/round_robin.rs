//! Weighted round robin by earliest deadline, as Traefik does it: smooth, so that a weight of 3 beside 1 gives `aaba` and not
//! three in a row after each other's bursts.

use parking_lot::Mutex;

/// Whose turn it is among some, by weight.
#[derive(Debug)]
pub(super) struct RoundRobin {
    weights: Vec<u32>,
    turns: Mutex<Turns>,
}

#[derive(Debug)]
struct Turns {
    now: f64,
    deadlines: Vec<f64>,
}

impl RoundRobin {
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let weights: Vec<_> = weights.collect();
        let deadlines = weights.iter().map(|weight| step(*weight)).collect();
        Self { weights, turns: Mutex::new(Turns { now: 0.0, deadlines }) }
    }

    pub(super) fn weights(&self) -> impl Iterator<Item = u32> + '_ {
        self.weights.iter().copied()
    }

    /// The next of those that are up; nobody of weight 0.
    pub(super) fn next(&self, is_up: impl Fn(usize) -> bool) -> Option<usize> {
        let mut turns = self.turns.lock();
        let able = (0..self.weights.len()).filter(|index| self.weights[*index] > 0 && is_up(*index));
        let index = able.min_by(|a, b| turns.deadlines[*a].total_cmp(&turns.deadlines[*b]))?;
        // One that was down for long must not get all requests until it has caught up.
        let deadline = turns.deadlines[index].max(turns.now);
        turns.now = deadline;
        turns.deadlines[index] = deadline + step(self.weights[index]);
        if turns.now > 1e9 {
            // Sums of fractions lose their last digits; long before it shows all begin anew.
            let now = std::mem::take(&mut turns.now);
            turns.deadlines.iter_mut().for_each(|deadline| *deadline -= now);
        }
        Some(index)
    }
}

fn step(weight: u32) -> f64 {
    1.0 / f64::from(weight.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(weights: &[u32], count: usize) -> Vec<usize> {
        let turns = RoundRobin::new(weights.iter().copied());
        std::iter::from_fn(|| turns.next(|_| true)).take(count).collect()
    }

    #[test]
    fn each_gets_its_share_and_nobody_waits_long() {
        assert_eq!(order(&[1, 1, 1], 6), [0, 1, 2, 0, 1, 2]);
        let order = order(&[3, 1], 400);
        assert_eq!(order.iter().filter(|index| **index == 0).count(), 300);
        assert!(order.windows(5).all(|four| four.contains(&1)));
    }

    #[test]
    fn nobody_of_weight_nothing_and_nobody_who_is_down_gets_a_turn() {
        assert_eq!(order(&[0, 1], 3), [1, 1, 1]);
        assert!(order(&[0], 1).is_empty());
        let turns = RoundRobin::new([1, 1].into_iter());
        assert_eq!((0..3).filter_map(|_| turns.next(|index| index == 1)).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(turns.next(|_| false), None);
    }

    #[test]
    fn one_that_comes_back_gets_its_share_and_no_burst() {
        let turns = RoundRobin::new([1, 1].into_iter());
        (0..100).for_each(|_| assert_eq!(turns.next(|index| index == 1), Some(1)));
        let after: Vec<_> = (0..6).filter_map(|_| turns.next(|_| true)).collect();
        assert!(after.iter().filter(|index| **index == 0).count() <= 4, "{after:?}");
    }
}
