//! What a model was asked, whichever API it came by.

use std::fmt;

use paliadin::agent::envelope::MARKER;

/// Who said something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The agent program, about itself and its surroundings.
    Rules,
    /// The person; and the program, in the person's name.
    Person,
    /// The model, before.
    Model,
    /// A tool that the model called.
    Tool,
}

/// Something that was said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Said {
    /// By whom.
    pub by: Role,
    /// What.
    pub text: String,
}

/// One request.
#[derive(Clone, Default)]
pub struct Ask {
    /// The agent asks for a purpose of its own, such as a title, and offers no tools.
    pub is_side: bool,
    /// The names of the tools that are offered.
    pub tools: Vec<String>,
    /// All that was said, oldest first.
    pub said: Vec<Said>,
    /// The turn of the last envelope in it.
    pub turn: Option<String>,
}

impl Ask {
    /// A request with this in it.
    pub fn new(tools: Vec<String>, said: Vec<Said>) -> Self {
        let last = said.iter().rev().filter(|said| said.by == Role::Person).find_map(|said| id_in(&said.text));
        Self { is_side: tools.is_empty(), tools, turn: last.map(str::to_owned), said }
    }

    /// The last text with an envelope, and what tools have said since.
    pub fn last(&self) -> (&str, Vec<&str>) {
        let is_prompt = |said: &Said| said.by == Role::Person && said.text.contains(MARKER);
        let Some(at) = self.said.iter().rposition(is_prompt) else { return ("", Vec::new()) };
        let tools = self.said[at..].iter().filter(|said| said.by == Role::Tool).map(|said| said.text.as_str());
        (&self.said[at].text, tools.collect())
    }

    /// Flags and message of the last envelope.
    pub fn prompt(&self) -> (&str, &str) {
        let inside = |text| {
            let (_, rest) = str::split_once(text, MARKER)?;
            let (head, message) = rest.split_once(']')?;
            Some((head.get(36..)?.trim_start(), message.strip_prefix(' ').unwrap_or(message)))
        };
        inside(self.last().0).unwrap_or_default()
    }

    /// Whether someone has said this.
    pub fn remembers(&self, text: &str) -> bool {
        self.said.iter().any(|said| said.text.contains(text))
    }
}

/// Without the rules, which are long.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} tools, turn {:?}:", self.tools.len(), self.turn)?;
        let mut said = self.said.iter().filter(|said| said.by != Role::Rules);
        said.try_for_each(|said| writeln!(f, "  {:?}: {:?}", said.by, said.text))
    }
}

fn id_in(text: &str) -> Option<&str> {
    text.rsplit_once(MARKER)?.1.get(..36)
}
