//! Seven days in slots of ten minutes: which of them somebody was active in, or what was measured in each.
//!
//! A ring: the place of a slot is its number modulo the slots of a week, so a row never grows and nothing is moved. The
//! newest slot says which week it is. Pure; the clock may jump, and what the ring says of times that have not come is
//! forgotten then.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::Timestamp;

/// How long a slot is.
pub const SLOT_MS: i64 = 600_000;
/// Slots of seven days.
pub const SLOTS: usize = 1_008;
const SLOTS_I64: i64 = 1_008;
const BYTES: usize = SLOTS / 8;
/// Stands for «not measured».
const UNKNOWN: u16 = u16::MAX;

/// Ten minutes, counted from 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub i64);

impl Slot {
    /// The slot in which this moment lies.
    #[must_use]
    pub fn of(at: Timestamp) -> Self {
        Self(at.0.div_euclid(SLOT_MS))
    }

    /// When it begins.
    #[must_use]
    pub fn begins(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(SLOT_MS))
    }

    /// The slots of the week that ends with this one, oldest first.
    pub fn week(self) -> impl DoubleEndedIterator<Item = Self> + ExactSizeIterator {
        let first = self.0.saturating_sub(SLOTS_I64 - 1);
        (0..SLOTS as u16).map(move |number| Self(first.saturating_add(i64::from(number))))
    }

    fn place(self) -> usize {
        // Below 1,008 by the remainder.
        self.0.rem_euclid(SLOTS_I64) as usize
    }

    /// The places to be cleared when the newest slot becomes this one: those that now stand for other slots.
    fn places_after(self, before: Self) -> impl Iterator<Item = usize> {
        let (low, high) = if self > before { (before, self) } else { (self, before) };
        // One that jumps further than the ring is long clears all of it.
        let count = high.0.saturating_sub(low.0).min(SLOTS_I64);
        (1..=count).map(move |step| Self(low.0.saturating_add(step)).place())
    }

    fn is_in_week_of(self, newest: Self) -> bool {
        self <= newest && newest.0.saturating_sub(self.0) < SLOTS_I64
    }
}

/// One bit a slot. As a row: 126 bytes and the newest slot.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row", into = "Row")]
pub struct SlotBits {
    newest: Option<Slot>,
    bits: [u8; BYTES],
}

/// A number a slot, or none.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Row", into = "Row")]
pub struct SlotSeries {
    newest: Option<Slot>,
    values: Box<[u16; SLOTS]>,
}

/// Either, as it is kept.
#[derive(Serialize, Deserialize)]
struct Row {
    newest: Option<Slot>,
    ring: String,
}

impl Default for SlotBits {
    fn default() -> Self {
        Self { newest: None, bits: [0; BYTES] }
    }
}

impl Default for SlotSeries {
    fn default() -> Self {
        Self { newest: None, values: Box::new([UNKNOWN; SLOTS]) }
    }
}

impl std::fmt::Debug for SlotBits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlotBits({} of the week to {:?})", self.count(), self.newest)
    }
}

impl std::fmt::Debug for SlotSeries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlotSeries(to {:?})", self.newest)
    }
}

impl SlotBits {
    /// The newest slot that this knows of.
    #[must_use]
    pub fn newest(&self) -> Option<Slot> {
        self.newest
    }

    /// The week ends with this slot from here on. A clock that was set back takes back what was said of later slots.
    pub fn move_to(&mut self, slot: Slot) {
        if let Some(newest) = self.newest {
            slot.places_after(newest).for_each(|place| self.bits[place / 8] &= !(1 << (place % 8)));
        }
        self.newest = Some(slot);
    }

    /// The week ends with this slot, and it is set.
    pub fn set(&mut self, slot: Slot) {
        self.move_to(slot);
        let place = slot.place();
        self.bits[place / 8] |= 1 << (place % 8);
    }

    /// Whether the slot is set; false for one outside the week.
    #[must_use]
    pub fn get(&self, slot: Slot) -> bool {
        let place = slot.place();
        self.newest.is_some_and(|newest| slot.is_in_week_of(newest)) && self.bits[place / 8] & (1 << (place % 8)) != 0
    }

    /// How many are set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.bits.iter().map(|byte| byte.count_ones()).sum()
    }
}

impl SlotSeries {
    /// The week ends with this slot, and this was measured in it: between 0 and 1, or nothing.
    pub fn set(&mut self, slot: Slot, share: Option<f64>) {
        if let Some(newest) = self.newest {
            slot.places_after(newest).for_each(|place| self.values[place] = UNKNOWN);
        }
        self.newest = Some(slot);
        let share = share.filter(|share| share.is_finite());
        self.values[slot.place()] = share.map_or(UNKNOWN, |share| (share.clamp(0.0, 1.0) * 1000.0).round() as u16);
    }

    /// What was measured in this slot, between 0 and 1.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<f64> {
        let value = self.values[slot.place()];
        let is_known = value != UNKNOWN && self.newest.is_some_and(|newest| slot.is_in_week_of(newest));
        is_known.then(|| (f64::from(value) / 1000.0).min(1.0))
    }
}

impl From<SlotBits> for Row {
    fn from(bits: SlotBits) -> Self {
        Self { newest: bits.newest, ring: BASE64.encode(bits.bits) }
    }
}

impl TryFrom<Row> for SlotBits {
    type Error = &'static str;
    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(row.ring).map_err(|_| "a week of slots is not base64")?;
        let bits = bytes.try_into().map_err(|_| "a week of slots has a wrong length")?;
        Ok(Self { newest: row.newest, bits })
    }
}

impl From<SlotSeries> for Row {
    fn from(series: SlotSeries) -> Self {
        let bytes: Vec<u8> = series.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { newest: series.newest, ring: BASE64.encode(bytes) }
    }
}

impl TryFrom<Row> for SlotSeries {
    type Error = &'static str;
    fn try_from(row: Row) -> Result<Self, Self::Error> {
        let bytes = BASE64.decode(row.ring).map_err(|_| "a week of slots is not base64")?;
        let (pairs, rest) = bytes.as_chunks::<2>();
        let values: Vec<u16> = pairs.iter().map(|pair| u16::from_le_bytes(*pair)).collect();
        match <Box<[u16; SLOTS]>>::try_from(values.into_boxed_slice()) {
            Ok(values) if rest.is_empty() => Ok(Self { newest: row.newest, values }),
            _ => Err("a week of slots has a wrong length"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However the clock jumps, the ring says what a plain list of slots would: those of the last week, none of the
        /// future.
        #[test]
        fn a_ring_is_a_list_of_the_last_week(steps in proptest::collection::vec((-3_000_i64..3_000, any::<bool>()), 1..40)) {
            let (mut ring, mut series) = (SlotBits::default(), SlotSeries::default());
            let mut list: BTreeMap<i64, bool> = BTreeMap::new();
            let mut now = 2_000_000;
            for (step, is_set) in steps {
                // Mostly small steps, now and then a jump of weeks.
                now += if step % 7 == 0 { step } else { step % 5 };
                list.retain(|slot, _| *slot <= now && now - slot < SLOTS_I64);
                if is_set {
                    ring.set(Slot(now));
                    list.insert(now, true);
                } else {
                    ring.move_to(Slot(now));
                }
                series.set(Slot(now), is_set.then_some(0.25));
                if !is_set {
                    // A series says anew what was measured; a bit once set stays.
                    prop_assert_eq!(series.get(Slot(now)), None);
                }
                for slot in (now - SLOTS_I64 - 5)..(now + 5) {
                    prop_assert_eq!(ring.get(Slot(slot)), list.contains_key(&slot), "slot {} at {}", slot, now);
                }
                prop_assert_eq!(ring.count() as usize, list.len());
            }
            let text = serde_json::to_string(&ring).expect("json");
            prop_assert_eq!(serde_json::from_str::<SlotBits>(&text).expect("a row"), ring);
            let text = serde_json::to_string(&series).expect("json");
            prop_assert_eq!(serde_json::from_str::<SlotSeries>(&text).expect("a row"), series);
        }
    }

    #[test]
    fn what_was_measured_is_read_back_to_a_thousandth_and_nothing_is_nothing() {
        let mut series = SlotSeries::default();
        for (number, share) in [Some(0.1234), None, Some(7.0), Some(f64::NAN), Some(-1.0)].into_iter().enumerate() {
            series.set(Slot(number as i64), share);
        }
        let read: Vec<_> = (0..5).map(|slot| series.get(Slot(slot))).collect();
        assert_eq!(read, [Some(0.123), None, Some(1.0), None, Some(0.0)]);
        assert_eq!((series.get(Slot(-1)), series.get(Slot(5))), (None, None));
    }

    #[test]
    fn a_row_is_small_and_one_that_is_cut_does_not_read() {
        let mut bits = SlotBits::default();
        bits.set(Slot(2_990_000));
        let row = serde_json::to_string(&bits).expect("json");
        assert!(row.len() < 220, "{} bytes", row.len());
        assert!(serde_json::from_str::<SlotBits>(r#"{"newest":1,"ring":"AAAA"}"#).is_err());
        assert!(serde_json::from_str::<SlotSeries>(r#"{"newest":1,"ring":"AAAA"}"#).is_err());
        assert!(serde_json::from_str::<SlotBits>(r#"{"newest":1,"ring":"*"}"#).is_err());
    }

    #[test]
    fn a_slot_is_ten_minutes_and_a_week_has_1008_of_them() {
        assert_eq!(
            (Slot::of(Timestamp(599_999)), Slot::of(Timestamp(600_000)), Slot::of(Timestamp(-1))),
            (Slot(0), Slot(1), Slot(-1))
        );
        let week: Vec<_> = Slot(2_000).week().collect();
        assert_eq!((week.len(), week[0], week[1_007]), (1_008, Slot(993), Slot(2_000)));
    }
}
