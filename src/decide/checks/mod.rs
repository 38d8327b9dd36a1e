//! The ordered checks: one per layer, each from an observation to a verdict.

mod artifact;
mod auth;
mod container;
mod content;
mod job;
pub(super) mod mounted;
pub(super) mod namespace;
pub(super) mod network;
mod replicas;
pub(super) mod revision;
mod route;
mod source;

pub(super) use container::is_looping;
pub use container::within_start_grace;
pub(super) use content::may_be_known_soon;
pub(super) use job::has_ended_well;
pub(super) use namespace::is_fixed_by_a_restart;

use super::Inputs;
use crate::api::{Drift, DriftReason, Layer, Note, ServiceObservation, ServiceSpec, UnknownReason};

/// The result of a layer's check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerVerdict {
    /// The spec declares nothing for this layer.
    Undeclared,
    /// Observed as declared. The note is for anything that should be reported all the same.
    AsDeclared(Option<String>),
    /// The evidence contradicts the spec.
    Broken(DriftReason, String),
    /// The evidence is insufficient, and no later layer is repaired.
    Unknown(UnknownReason, String),
    /// The evidence is insufficient to call it as declared, but no repair of a later layer depends on it.
    Unverifiable(UnknownReason, String),
}

impl LayerVerdict {
    /// Unknown for a reason without a name of its own.
    pub(super) const fn not_known(message: String) -> Self {
        Self::Unknown(UnknownReason::NotKnown, message)
    }

    /// The same for [`Unverifiable`](Self::Unverifiable).
    pub(super) const fn not_verifiable(message: String) -> Self {
        Self::Unverifiable(UnknownReason::NotKnown, message)
    }
}

/// A layer without a conclusion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownLayer {
    /// The layer.
    pub layer: Layer,
    /// Why, by name.
    pub reason: UnknownReason,
    /// Why, in words.
    pub message: String,
}

/// The verdicts on one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The service.
    pub service: String,
    /// One verdict per layer, in the order of [`Layer::ALL`].
    pub layers: [LayerVerdict; 5],
    /// The first broken layer.
    pub drift: Option<Drift>,
    /// The first layer that is unknown before any that is broken. undrift repairs nothing while there is one.
    pub unknown: Option<UnknownLayer>,
    /// The first layer that cannot be judged but blocks no repair. While there is one the service is not as declared.
    pub unverifiable: Option<UnknownLayer>,
    /// Further remarks.
    pub notes: Vec<Note>,
}

impl Diagnosis {
    /// Whether every declared layer was observed as declared.
    #[must_use]
    pub const fn as_declared(&self) -> bool {
        self.holds() && self.unverifiable.is_none()
    }

    /// Whether everything visible is as declared: that can be verified, and implies nothing about what is not visible.
    #[must_use]
    pub const fn holds(&self) -> bool {
        self.drift.is_none() && self.unknown.is_none()
    }

    /// The verdict on one layer.
    #[must_use]
    pub const fn layer(&self, layer: Layer) -> &LayerVerdict {
        &self.layers[layer as usize]
    }

    /// Whether an image waits to be brought up.
    pub(super) const fn awaits_up(&self) -> bool {
        matches!(self.layer(Layer::Container), LayerVerdict::Broken(DriftReason::ImageOutdated, _))
    }

    fn new(service: &str, layers: [LayerVerdict; 5]) -> Self {
        let mut drift = None;
        let (mut unknown, mut unverifiable) = (None, None);
        for (layer, verdict) in Layer::ALL.into_iter().zip(&layers) {
            match verdict {
                LayerVerdict::Broken(reason, message) => {
                    drift = Some(Drift { layer, reason: *reason, message: message.clone() });
                    break;
                }
                LayerVerdict::Unknown(reason, message) => {
                    let (reason, message) = (*reason, message.clone());
                    unknown.get_or_insert(UnknownLayer { layer, reason, message });
                }
                LayerVerdict::Unverifiable(reason, message) => {
                    let (reason, message) = (*reason, message.clone());
                    unverifiable.get_or_insert(UnknownLayer { layer, reason, message });
                }
                LayerVerdict::Undeclared | LayerVerdict::AsDeclared(_) => {}
            }
        }
        Self { service: service.to_owned(), layers, drift, unknown, unverifiable, notes: Vec::new() }
    }
}

/// The input of one service's checks.
#[derive(Clone, Copy)]
struct ServiceView<'a> {
    spec: &'a ServiceSpec,
    seen: &'a ServiceObservation,
    inputs: Inputs<'a>,
}

/// The verdicts on all services of the spec, in its order.
pub(super) fn diagnose_all(inputs: Inputs<'_>) -> Vec<Diagnosis> {
    inputs.desired.services().iter().map(|spec| diagnose(spec, inputs)).collect()
}

/// The verdicts on one service.
#[must_use]
pub fn diagnose(spec: &ServiceSpec, inputs: Inputs<'_>) -> Diagnosis {
    let Some(seen) = inputs.observed.service(&spec.name) else {
        let unseen = || LayerVerdict::not_known("it was not looked at".into());
        return Diagnosis::new(&spec.name, [unseen(), unseen(), unseen(), unseen(), unseen()]);
    };
    let view = ServiceView { spec, seen, inputs };
    let diagnosis = Diagnosis::new(
        &spec.name,
        [
            source::check(view),
            artifact::check(view),
            container::check(view),
            route::check(view),
            auth::check(view),
        ],
    );
    let notes = route::notes(view).into_iter().chain(content::notes(view)).chain(mounted::notes(view));
    Diagnosis { notes: notes.chain(revision::note(view)).collect(), ..diagnosis }
}

/// The first of the most important verdicts on the same layer: broken before unknown before as declared.
fn worst(verdicts: impl IntoIterator<Item = LayerVerdict>) -> LayerVerdict {
    let rank = |verdict: &LayerVerdict| match verdict {
        LayerVerdict::Broken(..) => 0,
        LayerVerdict::Unknown(..) => 1,
        LayerVerdict::Unverifiable(..) => 2,
        LayerVerdict::AsDeclared(Some(_)) => 3,
        LayerVerdict::AsDeclared(None) => 4,
        LayerVerdict::Undeclared => 5,
    };
    verdicts.into_iter().min_by_key(rank).unwrap_or(LayerVerdict::Undeclared)
}
