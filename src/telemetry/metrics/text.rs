//! Families as text: the classic form of Prometheus (`text/plain; version=0.0.4`,
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>) and `OpenMetrics` 1.0.0
//! (<https://prometheus.io/docs/specs/om/open_metrics_spec/>).

use std::fmt::{self, Write as _};

use super::family::{Buckets, Exemplar, Family, Kind, Labels, Value};

/// In which form metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The one that everything reads.
    Classic,
    /// With units and exemplars.
    OpenMetrics,
}

/// The longest labels of an exemplar, names and values together, in characters.
const LONGEST_EXEMPLAR: usize = 128;

impl Form {
    /// `Content-Type`
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The form that an `Accept` (RFC 9110, section 12.5.1) prefers; classic where it does not care.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let (mut classic, mut open) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default().to_ascii_lowercase();
            let (mut quality, mut version) = (1.0_f32, None);
            for parameter in parts {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                let value = value.trim().trim_matches('"');
                match name.trim().to_ascii_lowercase().as_str() {
                    "q" => quality = value.parse().unwrap_or(0.0),
                    "version" => version = Some(value),
                    _ => {}
                }
            }
            match &*media {
                "application/openmetrics-text" if version.is_none_or(|it| it == "1.0.0") => {
                    open = open.max(quality);
                }
                "text/plain" | "text/*" | "*/*" => classic = classic.max(quality),
                _ => {}
            }
        }
        if open > 0.0 && open >= classic {
            Self::OpenMetrics
        } else {
            Self::Classic
        }
    }

    /// A bound as all libraries write it, since for those who compare labels it is a text: `0.25`, `1e-05`, `1.048576e+06`.
    /// `OpenMetrics` wants a point in what has no exponent: `1.0`.
    fn bound(self, bound: f64) -> String {
        if bound.is_infinite() {
            return "+Inf".to_owned();
        }
        let text = format!("{bound:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        match exponent.parse().unwrap_or(0_i32) {
            small @ ..-4 => format!("{digits}e-{:02}", small.abs()),
            large @ 6.. => format!("{digits}e+{large:02}"),
            _ if self == Self::Classic => bound.to_string(),
            _ => format!("{bound:?}"),
        }
    }

    /// Writes families, in the order of their names.
    #[must_use]
    pub fn write(self, mut families: Vec<Family>) -> String {
        families.sort_by(|one, other| one.name.cmp(&other.name));
        let mut writer = Writer {
            form: self,
            text: String::with_capacity(64 << 10),
        };
        for family in &mut families {
            let of = |labels: &Labels| labels.iter().map(|(_, value)| value.clone()).collect();
            family
                .series
                .sort_by_cached_key(|series| -> Vec<_> { of(&series.labels) });
            // Writing to a string does not fail.
            let _ = writer.family(family);
        }
        if self == Self::OpenMetrics {
            writer.text.push_str("# EOF\n");
        }
        writer.text
    }
}

struct Writer {
    form: Form,
    text: String,
}

impl Writer {
    fn family(&mut self, family: &Family) -> fmt::Result {
        let sample = family.sample_name();
        let (name, kind) = match (self.form, family.kind) {
            (Form::Classic, Kind::Counter) => (&*sample, "counter"),
            (Form::Classic, Kind::Info) => (&*sample, "gauge"),
            (Form::OpenMetrics, Kind::Counter) => (&*family.name, "counter"),
            (Form::OpenMetrics, Kind::Info) => (&*family.name, "info"),
            (_, Kind::Gauge) => (&*family.name, "gauge"),
            (_, Kind::Histogram) => (&*family.name, "histogram"),
        };
        let help = match self.form {
            // There a quote stands for itself, and one that is escaped makes the whole scrape fail.
            Form::Classic => family
                .help
                .replace('\\', "\\\\")
                .replace('\n', "\\n")
                .into(),
            Form::OpenMetrics => escaped(&family.help),
        };
        writeln!(self.text, "# HELP {name} {help}")?;
        writeln!(self.text, "# TYPE {name} {kind}")?;
        if let Some(unit) = family.unit().filter(|_| self.form == Form::OpenMetrics) {
            writeln!(self.text, "# UNIT {name} {unit}")?;
        }
        for series in &family.series {
            match &series.value {
                Value::Number(value) => {
                    self.labelled(&sample, &series.labels, None)?;
                    writeln!(self.text, " {value}")?;
                }
                Value::Buckets(buckets) => self.buckets(&sample, &series.labels, buckets)?,
            }
        }
        Ok(())
    }

    fn buckets(&mut self, name: &str, labels: &Labels, buckets: &Buckets) -> fmt::Result {
        let bucket = format!("{name}_bucket");
        let infinite = std::iter::once((f64::INFINITY, buckets.count));
        for (at, (bound, count)) in buckets.within.iter().copied().chain(infinite).enumerate() {
            let bound = self.form.bound(bound);
            self.labelled(&bucket, labels, Some(&bound))?;
            write!(self.text, " {count}")?;
            if let (Form::OpenMetrics, Some(Some(exemplar))) =
                (self.form, buckets.exemplars.get(at))
            {
                self.exemplar(exemplar)?;
            }
            self.text.push('\n');
        }
        self.labelled(&format!("{name}_sum"), labels, None)?;
        writeln!(self.text, " {}", buckets.sum)?;
        self.labelled(&format!("{name}_count"), labels, None)?;
        writeln!(self.text, " {}", buckets.count)
    }

    /// A name with its labels, and in which bucket it is.
    fn labelled(&mut self, name: &str, labels: &Labels, bound: Option<&str>) -> fmt::Result {
        self.text.push_str(name);
        let bound = bound.map(|bound| ("le", bound));
        // A label without a value is none.
        let labels = labels.iter().map(|(name, value)| (&**name, &**value));
        let labels = labels.filter(|(_, value)| !value.is_empty()).chain(bound);
        let mut before = '{';
        for (name, value) in labels {
            write!(self.text, "{before}{name}=\"{}\"", escaped(value))?;
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        Ok(())
    }

    /// ` # {request_id="…"} 0.25 1760000000.123`, or `{trace_id="…"}` where there is a trace, which is where one would look
    /// first. A request id that is too long for its place is left out with its exemplar.
    fn exemplar(&mut self, exemplar: &Exemplar) -> fmt::Result {
        let (value, time) = (exemplar.value, exemplar.time);
        if let Some(trace) = exemplar.trace {
            let id = trace.trace;
            return write!(self.text, " # {{trace_id=\"{id:032x}\"}} {value} {time:.3}");
        }
        let id = exemplar.request_id.to_str().unwrap_or_default();
        if id.is_empty() || "request_id".len() + id.chars().count() > LONGEST_EXEMPLAR {
            return Ok(());
        }
        write!(
            self.text,
            " # {{request_id=\"{}\"}} {value} {time:.3}",
            escaped(id)
        )
    }
}

/// A text between quotes, or of `# HELP` in `OpenMetrics`.
fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains(['\\', '"', '\n']) {
        return text.into();
    }
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    text.replace('\n', "\\n").into()
}

#[cfg(test)]
mod tests;
