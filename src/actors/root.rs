//! `root`: starts the rest, and starts again what ends. One for one.

use std::sync::Arc;
use std::time::Duration;

use ractor::{Actor, ActorProcessingErr, ActorRef, SupervisionEvent};

use super::address::Address;
use super::health::HealthActor;
use super::janitor::{JanitorActor, JanitorMsg};
use super::observe::Registry;
use super::recorder::{Recorder, RecorderActor, RecorderMsg};
use super::seats::Seats;
use super::sessions::{SessionsActor, SessionsMsg};
use super::supervise::{ChildSpec, Children, Verdict};
use super::wiring::{Limits, Wiring};
use crate::agent::token::TurnTokens;
use crate::backend::Backend;
use crate::store::SharedStore;
use crate::streams::Streams;

/// How long the recorder may take with what it has, and then the tree to stop.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// Wait before a janitor that ended too often is tried again.
const JANITOR_REST: Duration = Duration::from_secs(60);

/// The running tree, as the rest of the product sees it.
#[derive(Clone)]
pub struct Tree {
    /// Where turns are submitted.
    pub sessions: Address<SessionsMsg>,
    /// For writes.
    pub recorder: Recorder,
    /// Who is asked for late answers.
    pub janitor: Address<JanitorMsg>,
    /// Who runs.
    pub registry: Arc<Registry>,
    root: ActorRef<RootMsg>,
}

impl Tree {
    /// Starts all actors. When it returns, the turns that an earlier process left open are looked after.
    ///
    /// # Errors
    /// What kept a child from starting.
    pub async fn start(
        store: SharedStore,
        backend: Arc<dyn Backend>,
        streams: Arc<Streams>,
        tokens: Option<TurnTokens>,
        limits: Limits,
    ) -> Result<Self, ractor::SpawnErr> {
        let registry = Arc::new(Registry::default());
        let root_address = Address::new(registry.enter("root", "root"));
        let recorder_address = Address::new(registry.enter("root/recorder", "recorder"));
        let recorder = Recorder::new(recorder_address.clone());
        let sessions = Address::new(registry.enter("root/sessions", "sessions"));
        let janitor = Address::new(registry.enter("root/janitor", "janitor"));
        let health = Address::new(registry.enter("root/health", "health"));
        let node: Arc<str> = format!("pid-{}", std::process::id()).into();
        let seats = Seats::new(limits.live_agents);
        let wiring = Wiring {
            store,
            recorder: recorder.clone(),
            janitor: janitor.clone(),
            health,
            backend,
            streams,
            registry: registry.clone(),
            seats,
            tokens: tokens.map(Arc::new),
            limits: Arc::new(limits),
            node,
        };
        let actor = RootActor { wiring, address: root_address, recorder: recorder_address, sessions: sessions.clone() };
        let (root, _) = Actor::spawn(None, actor, ()).await?;
        Ok(Self { sessions, recorder, janitor, registry, root })
    }

    /// Resolves when the tree has ended: by [`Self::stop`], or because a child of root ended too often.
    pub async fn ended(&self) {
        let _ = self.root.wait(None).await;
    }

    /// Stops all actors, the recorder last, when everything sent to it is durable.
    pub async fn stop(&self) {
        if !self.recorder.flush(STOP_TIMEOUT).await {
            tracing::error!("not everything could be recorded before the stop");
        }
        if let Err(error) = self.root.stop_and_wait(None, Some(STOP_TIMEOUT)).await {
            tracing::warn!(%error, "the actors did not stop in time");
        }
    }
}

/// A message to root.
pub enum RootMsg {
    /// The backoff of a child is over.
    Start(Child),
}

/// The children, in the order of their start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Child {
    /// First: the rest writes through it.
    Recorder,
    /// Second: turns that were left need it.
    Health,
    /// Third.
    Sessions,
    /// Last: it asks the directory, and finds in the table what happened before it.
    Janitor,
}

/// The actor.
struct RootActor {
    wiring: Wiring,
    address: Address<RootMsg>,
    recorder: Address<RecorderMsg>,
    sessions: Address<SessionsMsg>,
}

impl Actor for RootActor {
    type Msg = RootMsg;
    type State = Children<Child>;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<RootMsg>, (): ()) -> Result<Children<Child>, ActorProcessingErr> {
        self.address.bind(myself.clone());
        let mut children = Children::default();
        for child in [Child::Recorder, Child::Health, Child::Sessions, Child::Janitor] {
            self.start(&myself, &mut children, child).await?;
        }
        Ok(children)
    }

    async fn handle(
        &self,
        myself: ActorRef<RootMsg>,
        RootMsg::Start(child): RootMsg,
        children: &mut Children<Child>,
    ) -> Result<(), ActorProcessingErr> {
        self.address.gauge().handled();
        if let Err(error) = self.start(&myself, children, child).await {
            let verdict = children.start_failed(&child, &error.to_string());
            self.act_on(child, verdict)?;
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        _myself: ActorRef<RootMsg>,
        event: SupervisionEvent,
        children: &mut Children<Child>,
    ) -> Result<(), ActorProcessingErr> {
        let Some((child, end, verdict)) = children.ended(&event) else { return Ok(()) };
        tracing::error!(?child, ?end, ?verdict, "a child of root ended");
        self.act_on(child, verdict)
    }
}

impl RootActor {
    async fn start(
        &self,
        myself: &ActorRef<RootMsg>,
        children: &mut Children<Child>,
        child: Child,
    ) -> Result<(), ActorProcessingErr> {
        let supervisor = myself.get_cell();
        match child {
            Child::Recorder => {
                let actor = RecorderActor { store: self.wiring.store.clone(), address: self.recorder.clone() };
                let (actor, _) = Actor::spawn_linked(None, actor, (), supervisor).await?;
                children.started(child, ChildSpec::PERMANENT, &actor.get_cell(), self.recorder.gauge());
            }
            Child::Health => {
                let address = self.wiring.health.clone();
                let actor = HealthActor { wiring: self.wiring.clone(), address: address.clone() };
                let (actor, _) = Actor::spawn_linked(None, actor, (), supervisor).await?;
                children.started(child, ChildSpec::PERMANENT, &actor.get_cell(), address.gauge());
            }
            Child::Sessions => {
                let actor = SessionsActor { wiring: self.wiring.clone(), address: self.sessions.clone() };
                let (actor, _) = Actor::spawn_linked(None, actor, (), supervisor).await?;
                children.started(child, ChildSpec::PERMANENT, &actor.get_cell(), self.sessions.gauge());
            }
            Child::Janitor => {
                let (wiring, address) = (self.wiring.clone(), self.wiring.janitor.clone());
                let actor = JanitorActor { wiring, address: address.clone(), sessions: self.sessions.clone() };
                let (actor, _) = Actor::spawn_linked(None, actor, (), supervisor).await?;
                children.started(child, ChildSpec::PERMANENT, &actor.get_cell(), address.gauge());
            }
        }
        Ok(())
    }

    fn act_on(&self, child: Child, verdict: Verdict) -> Result<(), ActorProcessingErr> {
        let wait = match verdict {
            Verdict::RestartAfter(wait) => wait,
            // All else works without it: it is shown as failed until then.
            Verdict::GiveUp if child == Child::Janitor => JANITOR_REST,
            // Without these the product cannot work: the process ends, and whoever keeps it starts it anew.
            Verdict::GiveUp | Verdict::Forget => return Err(format!("{child:?} ended too often").into()),
        };
        self.address.pipe(tokio::time::sleep(wait), move |()| RootMsg::Start(child));
        Ok(())
    }
}
