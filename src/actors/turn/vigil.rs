//! How long a turn may go without a sign of life, and how long it may take. Both may stand still while the agent waits for a
//! person, see [`Rest`]. Pure: whoever asks brings the moment.

use std::time::Duration;

use tokio::time::Instant;

/// Limits of a turn; zero means none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Longest time without any sign of life from the agent.
    pub silence: Duration,
    /// Longest time that the agent may take, from the moment at which it is given the turn.
    pub deadline: Duration,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// [`Patience::silence`].
    Silence,
    /// [`Patience::deadline`].
    Deadline,
}

/// What stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing: the agent works.
    Nothing,
    /// The silence, and not the deadline: the agent is said to wait, and nobody may tell when it does so no more.
    Silence,
    /// Both: the agent waits for a person.
    Both,
}

/// The watch over one turn.
#[derive(Clone, Copy, Debug)]
pub struct Vigil {
    patience: Patience,
    /// The last sign of life.
    sign: Instant,
    /// The end of the deadline, were it not to stand still any more.
    deadline: Instant,
    rest: Rest,
    /// Since when the deadline stands still, if it does.
    since: Instant,
}

impl Vigil {
    /// A watch that begins now.
    pub fn begin(patience: Patience, now: Instant) -> Self {
        Self { patience, sign: now, deadline: now + patience.deadline, rest: Rest::Nothing, since: now }
    }

    /// The agent gave a sign of life at this moment.
    pub fn sign(&mut self, at: Instant) {
        self.sign = self.sign.max(at);
    }

    /// From now on this stands still.
    pub fn rest(&mut self, rest: Rest, now: Instant) {
        let before = std::mem::replace(&mut self.rest, rest);
        if before == rest {
            return;
        }
        match (before, rest) {
            (Rest::Both, _) => self.deadline += now.saturating_duration_since(self.since),
            (_, Rest::Both) => self.since = now,
            _ => {}
        }
        if rest == Rest::Nothing {
            self.sign(now);
        }
    }

    /// When to look again; `None` where nothing can be due before something else happens.
    pub fn next(&self) -> Option<Instant> {
        let silence = self.rest == Rest::Nothing && !self.patience.silence.is_zero();
        let silence = silence.then(|| self.sign + self.patience.silence);
        silence.into_iter().chain(self.is_timed().then_some(self.deadline)).min()
    }

    /// The deadline is one, and does not stand still.
    fn is_timed(&self) -> bool {
        self.rest != Rest::Both && !self.patience.deadline.is_zero()
    }

    /// What is due by now.
    pub fn due(&self, now: Instant) -> Option<Due> {
        self.next().filter(|next| *next <= now)?;
        let overdue = self.is_timed() && self.deadline <= now;
        Some(if overdue { Due::Deadline } else { Due::Silence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience { silence: Duration::from_secs(90), deadline: Duration::from_secs(1800) };

    /// Waits as the actor does; what is due at last, and after how many seconds.
    async fn due(vigil: Vigil, since: Instant) -> (Option<Due>, u64) {
        while let Some(next) = vigil.next() {
            tokio::time::sleep_until(next).await;
            if let Some(due) = vigil.due(Instant::now()) {
                return (Some(due), since.elapsed().as_secs());
            }
        }
        (None, since.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_from_the_last_sign() {
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        assert_eq!(due(vigil, begin).await, (Some(Due::Silence), 90));
        vigil.sign(Instant::now());
        assert_eq!(vigil.due(Instant::now()), None);
        // An older sign takes nothing back.
        vigil.sign(begin);
        assert_eq!(due(vigil, begin).await, (Some(Due::Silence), 180));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_goes_on_reaches_its_deadline() {
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        for _ in 0..29 {
            tokio::time::advance(Duration::from_secs(60)).await;
            vigil.sign(Instant::now());
            assert_eq!(vigil.due(Instant::now()), None);
        }
        assert_eq!(due(vigil, begin).await, (Some(Due::Deadline), 1800));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_due_while_a_person_is_waited_for() {
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        tokio::time::advance(Duration::from_secs(80)).await;
        vigil.rest(Rest::Both, Instant::now());
        tokio::time::advance(Duration::from_secs(7200)).await;
        assert_eq!((vigil.next(), vigil.due(Instant::now())), (None, None));
        vigil.rest(Rest::Both, Instant::now());
        vigil.rest(Rest::Nothing, Instant::now());
        let mut going_on = vigil;
        assert_eq!(due(vigil, begin).await, (Some(Due::Silence), 7200 + 80 + 90));
        while going_on.due(Instant::now()) != Some(Due::Deadline) {
            going_on.sign(Instant::now());
            tokio::time::advance(Duration::from_secs(10)).await;
        }
        assert_eq!(begin.elapsed().as_secs(), 7200 + 1800);
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_tells_when_the_wait_is_over_the_deadline_holds() {
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        vigil.rest(Rest::Silence, Instant::now());
        assert_eq!(due(vigil, begin).await, (Some(Due::Deadline), 1800));
        // What comes to that meanwhile and is over does not change it, save for its own time.
        let begin = Instant::now();
        let mut vigil = Vigil::begin(PATIENCE, begin);
        for rest in [Rest::Silence, Rest::Both, Rest::Silence] {
            vigil.rest(rest, Instant::now());
            tokio::time::advance(Duration::from_secs(600)).await;
        }
        assert_eq!(due(vigil, begin).await, (Some(Due::Deadline), 2400));
        vigil.rest(Rest::Nothing, Instant::now());
        assert_eq!(vigil.due(Instant::now()), Some(Due::Deadline));
    }

    #[tokio::test(start_paused = true)]
    async fn zero_is_no_limit() {
        let begin = Instant::now();
        let none = Patience { silence: Duration::ZERO, deadline: Duration::ZERO };
        assert_eq!(Vigil::begin(none, begin).next(), None);
        let silence = Vigil::begin(Patience { deadline: Duration::ZERO, ..PATIENCE }, begin);
        assert_eq!(due(silence, begin).await, (Some(Due::Silence), 90));
        let deadline = Vigil::begin(Patience { silence: Duration::ZERO, ..PATIENCE }, begin);
        assert_eq!(due(deadline, begin).await, (Some(Due::Deadline), 1800));
    }
}
