//! Findings, and the table of them.

use std::fmt;

use tokio_postgres::Row;

/// How a finding is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Ok,
    Warning,
    /// Not to be served from.
    Bad,
}

/// What was looked at, and what was seen.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What has to be true.
    pub what: String,
    pub level: Level,
    /// Where it is not, or what was seen.
    pub detail: String,
    /// What mends it.
    pub remedy: String,
}

impl Finding {
    /// From a row of safety.sql or advice.sql.
    pub fn of(row: &Row) -> Self {
        let offenders: Option<String> = row.get(2);
        let level = match (&offenders, row.get(1)) {
            (None, _) => Level::Ok,
            (Some(_), "warning") => Level::Warning,
            (Some(_), _) => Level::Bad,
        };
        let remedy = if level == Level::Ok { String::new() } else { row.get(3) };
        Self { what: row.get(0), level, detail: offenders.unwrap_or_default(), remedy }
    }
}

/// All findings, in the order of asking.
#[derive(Debug, Default)]
pub struct Report {
    findings: Vec<Finding>,
}

impl Report {
    pub fn push(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub fn ok(&mut self, what: &str, detail: String) {
        self.push(Finding { what: what.to_owned(), level: Level::Ok, detail, remedy: String::new() });
    }

    pub fn warning(&mut self, what: &str, detail: String, remedy: &str) {
        self.push(Finding { what: what.to_owned(), level: Level::Warning, detail, remedy: remedy.to_owned() });
    }

    pub fn bad(&mut self, what: &str, detail: String, remedy: &str) {
        self.push(Finding { what: what.to_owned(), level: Level::Bad, detail, remedy: remedy.to_owned() });
    }

    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Bad)
    }

    /// Those of one level alone.
    #[must_use]
    pub fn only(&self, level: Level) -> Self {
        Self { findings: self.findings.iter().filter(|finding| finding.level == level).cloned().collect() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let level = match finding.level {
                Level::Ok => "ok",
                Level::Warning => "warning",
                Level::Bad => "bad",
            };
            let detail = if finding.detail.is_empty() { String::new() } else { format!(": {}", finding.detail) };
            writeln!(f, "{level:<8} {}{detail}", finding.what)?;
            if !finding.remedy.is_empty() {
                writeln!(f, "{:<8} → {}", "", finding.remedy)?;
            }
        }
        Ok(())
    }
}
