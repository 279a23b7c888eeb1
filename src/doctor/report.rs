//! What the doctor says: a line for each check, as soon as it is made, and what to do where something is not as it should be.

use std::io::Write;

/// Spaces before what to do.
const INDENT: &str = "      ";

/// The findings so far.
pub struct Report<'a> {
    out: &'a mut dyn Write,
    /// Things that keep something from working.
    pub failures: u32,
    /// Things to know.
    pub warnings: u32,
}

impl<'a> Report<'a> {
    /// One that is written there.
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, failures: 0, warnings: 0 }
    }

    /// This is as it should be.
    pub fn ok(&mut self, what: &str, found: impl std::fmt::Display) {
        self.line(&format!("ok    {what}: {}", one_line(&found.to_string())));
    }

    /// This may be in the way; what to do.
    pub fn warn(&mut self, what: &str, found: impl std::fmt::Display, remedy: impl std::fmt::Display) {
        self.warnings += 1;
        self.line(&format!("warn  {what}: {}", one_line(&found.to_string())));
        self.say(remedy);
    }

    /// Something cannot work like this; what to do.
    pub fn fail(&mut self, what: &str, found: impl std::fmt::Display, remedy: impl std::fmt::Display) {
        self.failures += 1;
        self.line(&format!("FAIL  {what}: {}", one_line(&found.to_string())));
        self.say(remedy);
    }

    /// Further words on the last finding.
    pub fn say(&mut self, words: impl std::fmt::Display) {
        for line in words.to_string().lines() {
            self.line(&format!("{INDENT}{}", one_line(line)));
        }
    }

    /// How it stands, in the last line.
    pub fn conclude(&mut self) {
        let many = |number: u32, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        let line = match (self.failures, self.warnings) {
            (0, 0) => "everything is as it should be".to_owned(),
            (0, warnings) => format!("nothing is in the way; {} above", many(warnings, "warning")),
            (failures, warnings) => {
                format!("{} to see to first, {}", many(failures, "failure"), many(warnings, "warning"))
            }
        };
        self.line(&line);
    }

    fn line(&mut self, line: &str) {
        // Nobody may read it: the exit status tells, too.
        let _ = self.out.write_all(format!("{line}\n").as_bytes());
        let _ = self.out.flush();
    }
}

/// Without what would steer a terminal.
fn one_line(text: &str) -> String {
    text.replace('\n', " / ").chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
