//! What was found, told as it is found.

use serde::Serialize;

use crate::exit_code::ExitCode;
use crate::{json, output};

/// The findings of one run.
pub(crate) struct Report {
    json: bool,
    worst: ExitCode,
}

#[derive(Serialize)]
struct Finding<'a> {
    check: &'a str,
    status: &'a str,
    detail: &'a str,
    fix: Option<&'a str>,
}

impl Report {
    pub(crate) fn new(json: bool) -> Report {
        Report { json, worst: ExitCode::Success }
    }

    /// All is well.
    pub(crate) fn ok(&mut self, check: &str, detail: &str) {
        self.tell(&Finding { check, status: "ok", detail, fix: None });
    }

    /// Uploads work, but something is worth knowing.
    pub(crate) fn warn(&mut self, check: &str, detail: &str, fix: Option<&str>) {
        self.tell(&Finding { check, status: "warn", detail, fix });
    }

    /// Uploads will fail.
    pub(crate) fn fail(&mut self, check: &str, detail: &str, exit: ExitCode, fix: Option<&str>) {
        self.worst = self.worst.worse(exit);
        self.tell(&Finding { check, status: "fail", detail, fix });
    }

    /// It was not looked at.
    pub(crate) fn skip(&mut self, check: &str, detail: &str, fix: &str) {
        self.tell(&Finding { check, status: "skip", detail, fix: Some(fix) });
    }

    /// What the process ends with: 0 unless something failed.
    pub(crate) fn worst(&self) -> ExitCode {
        self.worst
    }

    fn tell(&self, finding: &Finding<'_>) {
        if self.json {
            return output::data(&json::text(finding));
        }
        let Finding { check, status, detail, fix } = finding;
        output::data(&format!("{status:<5} {check:<19} {}", output::tame_line(detail)));
        if let Some(fix) = fix {
            output::data(&format!("{:25} hint: {}", "", output::tame_line(fix)));
        }
    }
}
