//! A scrape, read strictly: what either form does not allow fails the test.

use std::collections::{BTreeMap, BTreeSet};

use millgate::telemetry::metrics::text::Form;

/// All that a scrape holds.
#[derive(Debug, Default)]
pub(super) struct Scrape {
    pub families: BTreeMap<String, Family>,
}

/// Metrics of one name.
#[derive(Debug, Default)]
pub(super) struct Family {
    pub kind: String,
    pub samples: Vec<Sample>,
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
    /// Labels and value of the exemplar.
    pub exemplar: Option<(BTreeMap<String, String>, f64)>,
}

impl Scrape {
    /// Reads a whole scrape.
    pub(super) fn read(text: &str, form: Form) -> Self {
        let mut scrape = Self::default();
        let text = match form {
            Form::Classic => text,
            Form::OpenMetrics => text.strip_suffix("# EOF\n").expect("an end"),
        };
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut current = String::new();
        let mut seen = BTreeSet::new();
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix("# ") {
                let (what, rest) = comment.split_once(' ').expect("a keyword");
                let (name, rest) = rest.split_once(' ').expect("a name");
                assert!(!rest.is_empty(), "{line}");
                match what {
                    "HELP" => {
                        let family = Family::default();
                        let before = scrape.families.insert(name.to_owned(), family);
                        assert!(before.is_none(), "{name} comes twice");
                        name.clone_into(&mut current);
                    }
                    "TYPE" => {
                        assert_eq!(name, current, "TYPE before HELP");
                        rest.clone_into(&mut scrape.families.get_mut(name).unwrap().kind);
                    }
                    "UNIT" => {
                        assert_eq!((form, name), (Form::OpenMetrics, &*current));
                        assert!(name.ends_with(&format!("_{rest}")), "{line}");
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let sample = sample(line);
            assert!(
                seen.insert((sample.name.clone(), sample.labels.clone())),
                "twice: {line}"
            );
            let family = scrape.families.get_mut(&current).expect("a family");
            assert!(
                belongs(&sample, &current, &family.kind, form),
                "{line} is not of {current}"
            );
            assert!(
                sample.exemplar.is_none() || form == Form::OpenMetrics,
                "{line}"
            );
            family.samples.push(sample);
        }
        for (name, family) in &scrape.families {
            check(name, family);
        }
        scrape
    }

    /// What the samples of this name with these labels add up to.
    pub(super) fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let all = self.families.values().flat_map(|family| &family.samples);
        let has = |sample: &&Sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| {
                    sample.labels.get(*label).map_or("", String::as_str) == *value
                })
        };
        // Of nothing it would be -0.
        all.filter(has).map(|sample| sample.value).sum::<f64>() + 0.0
    }

    /// The same as a count.
    pub(super) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels);
        assert!(sum >= 0.0 && sum.fract() == 0.0, "{name}: {sum}");
        sum as u64
    }

    /// How many lines there are.
    pub(super) fn lines(&self) -> usize {
        self.families
            .values()
            .map(|family| family.samples.len())
            .sum()
    }
}

fn belongs(sample: &Sample, family: &str, kind: &str, form: Form) -> bool {
    let rest = sample.name.strip_prefix(family);
    match (kind, form) {
        ("histogram", _) => matches!(rest, Some("_bucket" | "_sum" | "_count")),
        ("counter", Form::OpenMetrics) => rest == Some("_total"),
        ("counter", Form::Classic) => rest == Some("") && family.ends_with("_total"),
        ("info", Form::OpenMetrics) => rest == Some("_info"),
        ("gauge", _) => rest == Some(""),
        _ => false,
    }
}

/// Buckets rise and end in the count; a counter is not negative.
fn check(name: &str, family: &Family) {
    if family.kind == "counter" {
        assert!(
            family.samples.iter().all(|sample| sample.value >= 0.0),
            "{name}"
        );
    }
    if family.kind != "histogram" {
        return;
    }
    let mut series: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
    for sample in &family.samples {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        series.entry(labels).or_default().push(sample);
    }
    for samples in series.values() {
        let [buckets @ .., sum, count] = &samples[..] else {
            panic!("{name}: {samples:?}");
        };
        assert_eq!(sum.name, format!("{name}_sum"));
        assert_eq!(count.name, format!("{name}_count"));
        let bound = |sample: &Sample| match &*sample.labels["le"] {
            "+Inf" => f64::INFINITY,
            bound => bound.parse().unwrap(),
        };
        let bounds: Vec<f64> = buckets.iter().map(|bucket| bound(bucket)).collect();
        assert!(
            bounds.is_sorted_by(|one, next| one < next),
            "{name}: {bounds:?}"
        );
        assert_eq!(bounds.last(), Some(&f64::INFINITY), "{name}");
        assert!(
            buckets.is_sorted_by_key(|bucket| bucket.value),
            "{name}: {buckets:?}"
        );
        assert_eq!(
            buckets.last().unwrap().value.to_bits(),
            count.value.to_bits()
        );
        for (at, bucket) in buckets.iter().enumerate() {
            let Some((labels, value)) = &bucket.exemplar else {
                continue;
            };
            let length: usize = labels
                .iter()
                .flat_map(|(name, value)| [name, value])
                .map(String::len)
                .sum();
            assert!(length <= 128, "{labels:?}");
            let lower = at.checked_sub(1).map_or(f64::NEG_INFINITY, |at| bounds[at]);
            assert!((lower..=bounds[at]).contains(value), "{bucket:?}");
        }
    }
}

/// `name{label="value"} 1`, and in `OpenMetrics` ` # {label="value"} 0.5 1760000000.5` after it.
fn sample(line: &str) -> Sample {
    let end = line.find(['{', ' ']).expect("a value");
    let (name, rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest),
        None => (BTreeMap::new(), rest),
    };
    let rest = rest.strip_prefix(' ').expect("a space before the value");
    let (value, exemplar) = match rest.split_once(" # {") {
        Some((value, rest)) => {
            let (labels, rest) = self::labels(rest);
            let mut numbers = rest.strip_prefix(' ').unwrap().split(' ');
            let example = numbers.next().unwrap().parse().unwrap();
            let time: f64 = numbers.next().expect("a time").parse().unwrap();
            assert!(time > 1.7e9 && numbers.next().is_none(), "{line}");
            (value, Some((labels, example)))
        }
        None => (rest, None),
    };
    Sample {
        name: name.to_owned(),
        labels,
        value: value.parse().unwrap(),
        exemplar,
    }
}

/// Labels up to the closing brace, and what follows it.
fn labels(text: &str) -> (BTreeMap<String, String>, &str) {
    let mut labels = BTreeMap::new();
    let mut rest = text;
    loop {
        let (name, after) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{text}");
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().expect("a closing quote") {
                (at, '"') => break at,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    same @ ('\\' | '"') => same,
                    other => panic!("\\{other} in {text}"),
                }),
                (_, char) => value.push(char),
            }
        };
        assert!(!value.is_empty(), "a label without a value: {text}");
        assert!(
            labels.insert(name.to_owned(), value).is_none(),
            "twice: {text}"
        );
        rest = &after[end + 1..];
        match rest.as_bytes()[0] {
            b',' => rest = &rest[1..],
            b'}' => return (labels, &rest[1..]),
            _ => panic!("{text}"),
        }
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}
