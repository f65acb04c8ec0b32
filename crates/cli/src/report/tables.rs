//! From figures to tables: which stand in a report of which level, and in which order.

use std::collections::BTreeMap;

use jiff::Timestamp;
use xacminh_contract::notice::Why;
use xacminh_domain::calendar::local_date;
use xacminh_domain::lag::{Holder, Segment as Part};
use xacminh_domain::request::State;
use xacminh_domain::unit::{UnitCode, UnitType};
use xacminh_store::outage::OnRecord;
use xacminh_store::reference::Reference;
use xacminh_store::view::by_office::OfficeLine;
use xacminh_store::view::report::{Cut, Group, Held, InHand, LateFor, Passed, Refused, Standing};

use super::columns::{
    FILES, HELD, HELD_BY, IN_HAND, IN_HAND_BY, LATE, OUTAGES, REFUSALS, REQUESTS, SEGMENTS, SEGMENTS_BY,
};
use super::model::{Column, Row, Sums, Table, Value};
use super::public::LEAST;
use super::words;

/// All figures of a report, as the store gave them.
pub(crate) struct Figures {
    pub(crate) now: Timestamp,
    pub(crate) reference: Reference,
    pub(crate) public: bool,
    pub(crate) province: Option<String>,
    pub(crate) standing: BTreeMap<Group, Standing>,
    pub(crate) segments: Vec<(Group, Passed)>,
    pub(crate) held: Vec<(Group, Held)>,
    pub(crate) in_hand: Vec<(Group, InHand)>,
    pub(crate) late_for: Vec<(Group, LateFor)>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) offices: Vec<OfficeLine>,
    pub(crate) outages: Vec<OnRecord>,
}

impl Figures {
    /// The nation's tables, and each cut; the details of the cuts are for programs and spreadsheets.
    pub(crate) fn nation(&self) -> Vec<Table> {
        let mut tables = vec![self.requests(Cut::Nation), self.files(Cut::Nation), self.segments(), self.held()];
        if !self.public {
            tables.push(self.in_hand());
        }
        tables.extend([self.late(), self.refusals()]);
        let cuts = [Cut::Province, Cut::UnitType, Cut::Purpose, Cut::Kind];
        tables.extend(cuts.map(|cut| self.requests(cut)));
        for cut in cuts {
            tables.extend(self.details(cut).into_iter().map(|table| Table { in_text: false, ..table }));
        }
        tables.push(self.outages());
        tables
    }

    /// A row a province, and all of the details.
    pub(crate) fn provinces(&self) -> Vec<Table> {
        let mut tables = vec![self.requests(Cut::Province)];
        tables.extend(self.details(Cut::Province));
        tables.extend([self.refusals_by_province(), self.outages()]);
        tables
    }

    /// A row an office, by what needs action next.
    pub(crate) fn by_office(&self) -> Vec<Table> {
        vec![self.offices(), self.outages()]
    }

    fn details(&self, cut: Cut) -> Vec<Table> {
        let mut tables = vec![self.files(cut), self.segments_by(cut), self.held_by(cut)];
        if !self.public {
            tables.push(self.in_hand_by(cut));
        }
        tables
    }

    /// The groups of a cut that have a figure, the nation last.
    fn groups(&self, cut: Cut) -> Vec<Group> {
        let standing = self.standing.keys();
        let in_hand = self.in_hand.iter().map(|(group, _)| group).filter(|_| !self.public);
        let mut groups: Vec<Group> = standing.chain(in_hand).filter(|g| g.cut == cut).cloned().collect();
        groups.sort();
        groups.dedup();
        if cut != Cut::Nation {
            groups.push(nation());
        }
        groups
    }

    fn name(&self, group: &Group) -> String {
        match group.cut {
            // Of the whole that the report is about.
            Cut::Nation => match &self.province {
                Some(_) => "Cả tỉnh (whole province)".to_owned(),
                None => "Cả nước (nation)".to_owned(),
            },
            Cut::Province => self.province(&group.key),
            Cut::UnitType => UnitType::from_word(&group.key).map_or("không rõ (unknown)", UnitType::title).to_owned(),
            Cut::Purpose | Cut::Kind => words::of(&group.key).to_owned(),
        }
    }

    fn province(&self, code: &str) -> String {
        let unit = code.parse::<UnitCode>().ok();
        let name =
            unit.and_then(|c| self.reference.directory.unit_at(&c, local_date(self.now))).map(|u| u.name.clone());
        name.map_or_else(|| "Bộ Công an (ministry)".to_owned(), |name| format!("{code} {}", words::short(&name)))
    }

    fn titled(id: &str, vi: &str, en: &str, cut: Cut, columns: &[Column]) -> Table {
        let (by_vi, by_en) = words::cut(cut);
        match cut {
            Cut::Nation => Table::new(id, vi, en, columns),
            Cut::Province | Cut::UnitType | Cut::Purpose | Cut::Kind => Table::new(
                format!("{id}_by_{}", cut.as_str()),
                format!("{vi}, {by_vi}"),
                format!("{en}, {by_en}"),
                columns,
            ),
        }
    }

    fn requests(&self, cut: Cut) -> Table {
        let mut columns = REQUESTS;
        // By group there is no room for it on a terminal.
        columns[7].in_text = cut == Cut::Nation;
        let mut table = Self::titled("requests", "Yêu cầu gửi trong kỳ", "requests sent in", cut, &columns);
        for group in self.groups(cut) {
            let s = self.standing.get(&group).copied().unwrap_or_default();
            let counts = [s.submitted(), s.in_time, s.late, s.withdrawn, s.open, s.overdue];
            let mut cells: Vec<Value> = counts.map(Value::Count).to_vec();
            cells.push(share(s.in_time, s.in_time + s.late + s.overdue));
            cells.push(Value::Count(s.under_30s));
            table.rows.push(Row::new(group.key.clone(), self.name(&group), cells));
        }
        let total_row = cut != Cut::Nation;
        table.sums = vec![
            Sums { columns: (0..6).collect(), row_totals: true, total_row, shared: Some("requests") },
            Sums { columns: vec![7], row_totals: false, total_row, shared: Some("under_30s") },
        ];
        table.made_of = Some((6, vec![1, 2, 5]));
        table
    }

    /// In a publication without what adds up to the requests: only the files whose end was told.
    fn files(&self, cut: Cut) -> Table {
        let columns = if self.public { &FILES[..2] } else { &FILES };
        let mut table = Self::titled("files", "Hồ sơ của công dân", "the citizens' files", cut, columns);
        for group in self.groups(cut) {
            let s = self.standing.get(&group).copied().unwrap_or_default();
            let counts =
                [s.file_in_time, s.file_late, s.file_overdue, s.file_running, s.file_not_told, s.file_no_limit];
            let mut cells = counts.map(Value::Count).to_vec();
            // Where no ward tells ends, what is overdue alone would read as a share of nothing.
            let told = s.file_in_time + s.file_late > 0;
            let whole = s.file_in_time + s.file_late + s.file_overdue;
            cells.push(if told { share(s.file_in_time, whole) } else { Value::None });
            cells.truncate(columns.len());
            table.rows.push(Row::new(group.key.clone(), self.name(&group), cells));
        }
        let total_row = cut != Cut::Nation;
        table.sums = [(0, "file_in_time"), (1, "file_late")]
            .map(|(c, of)| Sums { columns: vec![c], row_totals: false, total_row, shared: Some(of) })
            .to_vec();
        table
    }

    fn segments(&self) -> Table {
        let mut table = Table::new("segments", "Các chặng", "segments of the way", &SEGMENTS);
        for part in Part::ALL {
            let found = self.segments.iter().find(|(g, s)| g.cut == Cut::Nation && s.segment == part);
            let cells = match found {
                Some((_, s)) => vec![
                    // With those beside it, it would tell what is withheld there.
                    if self.public { Value::Withheld } else { Value::Count(s.count) },
                    self.enough(s.count, Value::Seconds(s.median_s)),
                    self.enough(s.count, Value::Seconds(s.p90_s)),
                    self.enough(s.count, Value::Minutes(s.median_working_min)),
                    self.enough(s.count, Value::Minutes(s.p90_working_min)),
                ],
                None => vec![self.enough(0, Value::None); SEGMENTS.len()],
            };
            table.rows.push(Row::new(part.as_str(), words::of(part.as_str()), cells));
        }
        table
    }

    fn segments_by(&self, cut: Cut) -> Table {
        let mut table =
            Self::titled("segments", "Các chặng: trung vị và 90 %", "segments: median and p90", cut, &SEGMENTS_BY);
        for group in self.groups(cut) {
            let mut cells = Vec::with_capacity(SEGMENTS_BY.len());
            for part in Part::ALL {
                match self.segments.iter().find(|(g, s)| *g == group && s.segment == part) {
                    Some((_, s)) => {
                        cells.extend([s.median_s, s.p90_s].map(|v| self.enough(s.count, Value::Seconds(v))))
                    }
                    None => cells.extend([self.enough(0, Value::None), self.enough(0, Value::None)]),
                }
            }
            table.rows.push(Row::new(group.key.clone(), self.name(&group), cells));
        }
        table
    }

    fn held_micros(&self, group: &Group, holder: Holder) -> i64 {
        let of = |(g, h): &&(Group, Held)| g == group && h.holder == holder;
        self.held.iter().find(of).map_or(0, |(_, held)| held.micros)
    }

    fn held(&self) -> Table {
        let mut table = Table::new("held", "Ai giữ, bao lâu", "who held them, how long", &HELD);
        let each = Holder::ALL.map(|holder| (holder, self.held_micros(&nation(), holder)));
        let all: i64 = each.iter().map(|(_, micros)| micros).sum();
        for (holder, micros) in each {
            let cells = vec![Value::Seconds(seconds(micros)), share(micros, all)];
            table.rows.push(Row::new(holder.as_str(), words::holder(holder), cells));
        }
        table.rows.push(Row::new("", "Tất cả (all)", vec![Value::Seconds(seconds(all)), share(all, all)]));
        table
    }

    fn held_by(&self, cut: Cut) -> Table {
        let mut table =
            Self::titled("held", "Ai giữ: phần thời gian", "who held them: share of the time", cut, &HELD_BY);
        for group in self.groups(cut) {
            let each = Holder::ALL.map(|holder| self.held_micros(&group, holder));
            let all: i64 = each.iter().sum();
            let count = self.standing.get(&group).map_or(0, Standing::submitted);
            let mut cells = vec![self.enough(count, Value::Seconds(seconds(all)))];
            cells.extend(each.map(|micros| self.enough(count, share(micros, all))));
            table.rows.push(Row::new(group.key.clone(), self.name(&group), cells));
        }
        table
    }

    fn in_hand(&self) -> Table {
        let mut table = Table::new("in_hand", "Đang giữ, không kể ngày gửi", "in hand, whenever sent in", &IN_HAND);
        for state in State::ALL {
            let found = self.in_hand.iter().find(|(g, h)| g.cut == Cut::Nation && h.state == state.as_str());
            if let Some((_, h)) = found {
                let cells = vec![
                    Value::Count(h.count),
                    Value::Count(h.overdue),
                    Value::Count(h.late),
                    Value::Seconds(self.age(h.oldest)),
                    Value::Seconds(h.median_age_s),
                ];
                table.rows.push(Row::new(state.as_str(), words::of(state.as_str()), cells));
            }
        }
        table
    }

    fn in_hand_by(&self, cut: Cut) -> Table {
        let mut table =
            Self::titled("in_hand", "Đang giữ, không kể ngày gửi", "in hand, whenever sent in", cut, &IN_HAND_BY);
        for group in self.groups(cut) {
            let of: Vec<&InHand> = self.in_hand.iter().filter(|(g, _)| *g == group).map(|(_, h)| h).collect();
            let sum = |f: fn(&InHand) -> i64| of.iter().map(|h| f(h)).sum::<i64>();
            let unread = of.iter().filter(|h| h.state == State::Answered.as_str()).map(|h| h.count).sum::<i64>();
            let (all, overdue, late) = (sum(|h| h.count), sum(|h| h.overdue), sum(|h| h.late));
            let mut cells = [all, all - unread, overdue, unread, late].map(Value::Count).to_vec();
            cells.push(of.iter().map(|h| h.oldest).min().map_or(Value::None, |at| Value::Seconds(self.age(at))));
            cells.extend(Why::ALL.map(|why| {
                let of_why = |(g, l): &&(Group, LateFor)| *g == group && l.why == why;
                Value::Count(self.late_for.iter().find(of_why).map_or(0, |(_, l)| l.count))
            }));
            table.rows.push(Row::new(group.key.clone(), self.name(&group), cells));
        }
        table
    }

    fn late(&self) -> Table {
        let mut table = Table::new("late", "Vì sao chậm, không kể ngày gửi", "why late, whenever sent in", &LATE);
        let of: Vec<&LateFor> = self.late_for.iter().filter(|(g, _)| g.cut == Cut::Nation).map(|(_, l)| l).collect();
        for why in Why::ALL {
            if let Some(l) = of.iter().find(|l| l.why == why) {
                let age = self.enough(l.count, Value::Seconds(self.age(l.oldest)));
                table.rows.push(Row::new(why.as_str(), words::why(why), vec![Value::Count(l.count), age]));
            }
        }
        let all: i64 = of.iter().map(|l| l.count).sum();
        let oldest = of.iter().map(|l| l.oldest).min();
        let age = self.enough(all, oldest.map_or(Value::None, |at| Value::Seconds(self.age(at))));
        table.rows.push(Row::new("", "Tất cả (all)", vec![Value::Count(all), age]));
        table.sums = vec![Sums { columns: vec![0], row_totals: false, total_row: true, shared: None }];
        table
    }

    fn refusals(&self) -> Table {
        let mut by_code: BTreeMap<&str, i64> = BTreeMap::new();
        for refused in &self.refused {
            *by_code.entry(&refused.code).or_default() += refused.count;
        }
        Self::counted("refusals", "Tin bị từ chối, theo mã", "refusals by code", by_code.into_iter(), str::to_owned)
    }

    fn refusals_by_province(&self) -> Table {
        let mut by: BTreeMap<&str, i64> = BTreeMap::new();
        for refused in &self.refused {
            *by.entry(&refused.province).or_default() += refused.count;
        }
        Self::counted(
            "refusals_by_province",
            "Tin bị từ chối, theo tỉnh của nơi gửi",
            "refusals by the sender's province",
            by.into_iter(),
            |code| self.province(code),
        )
    }

    fn counted<'a>(
        id: &str,
        vi: &str,
        en: &str,
        counts: impl Iterator<Item = (&'a str, i64)>,
        name: impl Fn(&str) -> String,
    ) -> Table {
        let mut table = Table::new(id, vi, en, &REFUSALS);
        let mut all = 0;
        for (key, count) in counts {
            table.rows.push(Row::new(key, name(key), vec![Value::Count(count)]));
            all += count;
        }
        table.rows.push(Row::new("", "Tất cả (all)", vec![Value::Count(all)]));
        table.sums = vec![Sums { columns: vec![0], row_totals: false, total_row: true, shared: None }];
        table
    }

    fn outages(&self) -> Table {
        let mut table = Table::new("outages", "Mất kết nối đã ghi", "outages on record", &OUTAGES);
        for outage in &self.outages {
            let (from, to) = outage.span;
            let name = match &outage.office {
                Some(office) => format!("{} {}", words::of(&outage.what), self.office(office)),
                None => words::of(&outage.what).to_owned(),
            };
            let cells = vec![
                Value::At(from),
                to.map_or(Value::None, Value::At),
                Value::Seconds(to.unwrap_or(self.now).duration_since(from).as_secs_f64()),
            ];
            table.rows.push(Row::new(outage.office.clone().unwrap_or_else(|| outage.what.clone()), name, cells));
        }
        // Over a nation the inboxes are many; each stands in its request's trace.
        table.in_text = self.outages.len() <= 40;
        table
    }

    pub(super) fn age(&self, since: Timestamp) -> f64 {
        self.now.duration_since(since).as_secs_f64().max(0.0)
    }

    /// A figure that is no count, of so many: of fewer than five it is not published.
    pub(super) fn enough(&self, of: i64, value: Value) -> Value {
        let few = u64::try_from(of).unwrap_or(0) < LEAST;
        if self.public && few { Value::Withheld } else { value }
    }
}

fn nation() -> Group {
    Group { cut: Cut::Nation, key: String::new() }
}

fn share(part: i64, whole: i64) -> Value {
    if whole == 0 {
        return Value::None;
    }
    #[expect(clippy::cast_precision_loss, reason = "a share is shown to a tenth of a percent")]
    Value::Share(part as f64 / whole as f64)
}

fn seconds(micros: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "to the microsecond for three hundred years")]
    let micros = micros as f64;
    micros / 1e6
}
