//! What each kind of record means, in which fields: the words of its page in the documentation.

use crate::api::AuditKind;

/// The documentation of one kind of record.
#[derive(Debug, Clone, Copy)]
pub(super) struct KindReference {
    /// When undrift writes it.
    pub(super) when: &'static str,
    /// What a reader may conclude from it, and what not.
    pub(super) means: &'static str,
    /// The fields of its evidence, by name, each with its content.
    pub(super) evidence: &'static [(&'static str, &'static str)],
}

/// `evidence.services` of records about steps.
const SERVICES: (&str, &str) = ("services", "the names of the services");

/// `evidence.git` of records from before a step.
const GIT: (&str, &str) =
    ("git", "`revision` and `dirty` of the work tree that the source lies in; null without one");

/// `evidence.attempts`.
const ATTEMPTS: (&str, &str) = (
    "attempts",
    "the budget from then on: a row per drift with its repairs so far, and when the next may begin",
);

/// `evidence.closedAt`, `since` and `rowDigest`: what proves an incident's row.
const CLOSED_AT: (&str, &str) = ("closedAt", "when the incident ended: the observation that found it over");
const SINCE: (&str, &str) = ("since", "when its last occurrence began");
const ROW_DIGEST: (&str, &str) = (
    "rowDigest",
    "SHA-256 over the columns `drift`, a line break, and `evidence` of the incident's row: `audit verify` compares them",
);

const INTENT: (&str, &str) = ("intent", "the `seq` of the `StepIntended` that this ends");

/// What the documentation says of it.
pub(super) const fn reference(kind: AuditKind) -> KindReference {
    match kind {
        AuditKind::DriftDetected => DRIFT_DETECTED,
        AuditKind::StepIntended => STEP_INTENDED,
        AuditKind::StepFinished => STEP_FINISHED,
        AuditKind::StepInterrupted => STEP_INTERRUPTED,
        AuditKind::Verified => VERIFIED,
        AuditKind::Reconciled => RECONCILED,
        AuditKind::RolledBack => ROLLED_BACK,
        AuditKind::Stalled => STALLED,
        AuditKind::Suspended => SUSPENDED,
        AuditKind::Resumed => RESUMED,
        AuditKind::Retried => RETRIED,
        AuditKind::ManifestChanged => MANIFEST_CHANGED,
        AuditKind::Started => STARTED,
        AuditKind::Stopped => STOPPED,
        AuditKind::TrailLost => TRAIL_LOST,
        AuditKind::Anchored => ANCHORED,
        AuditKind::AnchorFailed => ANCHOR_FAILED,
    }
}

const DRIFT_DETECTED: KindReference = KindReference {
    when: "An observation finds a drift of a service that this incident has no record of yet.",
    means: "The first layer of the service that is not as declared, and why. Layers above it may be affected, too; only the first \
            is repaired. A drift that undrift's own step causes for a moment has no record.",
    evidence: &[
        ("layer", "the layer: `source`, `artifact`, `container`, `route` or `auth`"),
        ("reason", "the reason, one of the [drift reasons](../how-it-works.md)"),
        ("message", "the reason in words"),
        ("observed", "all that the observation found out about the service, layer by layer"),
        GIT,
    ],
};

const STEP_INTENDED: KindReference = KindReference {
    when: "Right before a step. If this record cannot be written, the step is not taken.",
    means: "undrift was about to do this. Whether it did, and how that ended, is in the `StepFinished` or `StepInterrupted` whose \
            `intent` is this record's `seq`.",
    evidence: &[
        SERVICES,
        ("reason", "the drift that the step is to repair, in words"),
        ("attempt", "which repair of the drift this is, counted from 1; null where the step counts as none"),
        ("noCache", "of a `Build`: whether without the build cache; absent if not"),
        ("forceRecreate", "of an `Up`: whether the containers are made anew in any case; absent if not"),
        (
            "containers",
            "of an `Up` or `Rollback`: each container that it may replace, with its state or end and its last lines",
        ),
        ATTEMPTS,
        (
            "recentSteps",
            "the steps of the last hour for the project's services, this one included: what the rate counts",
        ),
        ("beforeDigest", "SHA-256 of the evidence from before the incident's first step, in canonical form"),
        GIT,
    ],
};

const STEP_FINISHED: KindReference = KindReference {
    when: "A step ended, whatever its outcome. If the record cannot be written at once, it is written before anything else about \
           the object; `time` is then the time of writing.",
    means: "`outcome` is the end of the command: `Succeeded`, `Failed`, `TimedOut`, `Cancelled`, or `NotBegun` where a check right \
            before the command refused it. A step that succeeded has repaired nothing yet: that is what `Verified` says.",
    evidence: &[
        INTENT,
        SERVICES,
        ("startedAt", "when the command began"),
        ("durationMs", "how long it ran, in milliseconds"),
        ("exitCode", "its exit code; null if a signal ended it, or if it was not run"),
        ("output", "the end of its output, with secrets masked"),
        ("command", "its argument vector"),
        ("notes", "what the step did besides, in words"),
        ATTEMPTS,
    ],
};

const STEP_INTERRUPTED: KindReference = KindReference {
    when: "undrift starts, or looks at the object again, and finds a step without an outcome.",
    means: "undrift ended before the step did, or could not write its end. The command may have had its effect or not: the next \
            observation tells.",
    evidence: &[INTENT, SERVICES, ATTEMPTS],
};

const VERIFIED: KindReference = KindReference {
    when: "A service that drifted, or was repaired, was as declared in every look of the whole stability window.",
    means: "The repair, if there was one, is verified for this service: same containers, no restart, every module and route as \
            declared, from the first look to the last.",
    evidence: &[
        ("image", "the ID of the image that its containers run; null if it has none"),
        ("containers", "the IDs of the containers that were looked at"),
        ("looks", "how many looks the window had"),
        ("heldMs", "for how long it was as declared in them, in milliseconds"),
        (
            "changedByRepair",
            "whether the service is another one than before the first step: else it healed by itself",
        ),
        ATTEMPTS,
    ],
};

const RECONCILED: KindReference = KindReference {
    when: "Every service of the object is as declared and verified, which ends the incident.",
    means: "The incident is over, and well. `transitions` holds for each route the answer before and after: 404 → 401 means that \
            the route is there now, and that it asks for credentials.",
    evidence: &[
        (
            "transitions",
            "the routes whose answer changed: service, route, and the status before and after; null where none came",
        ),
        ("steps", "how many steps of the incident ran to their end"),
        ("healedBy", "`undrift`, or `itself` where no step of undrift changed a service"),
        ("pruned", "the IDs of superseded images that undrift had built and removed"),
        CLOSED_AT,
        SINCE,
        ROW_DIGEST,
    ],
};

const ROLLED_BACK: KindReference = KindReference {
    when: "A `Rollback` succeeded, together with its `StepFinished`.",
    means: "The images from before the repair run again, because the service was worse off after it. The drift that the repair was \
            for is there again: the incident ends as `Stalled`, never as `Reconciled`.",
    evidence: &[SERVICES, ("to", "the image ID that each service runs again")],
};

const STALLED: KindReference = KindReference {
    when: "Nothing more is tried, which ends the incident.",
    means: "A person has to do something. undrift tries again once the spec, the source or the image changes, or after `retry`.",
    evidence: &[
        ("reason", "why, in one word"),
        ("message", "why, in words, with what to do where that is known"),
        ATTEMPTS,
        CLOSED_AT,
        SINCE,
        ROW_DIGEST,
    ],
};

const SUSPENDED: KindReference = KindReference {
    when: "A person suspends the object (`undrift suspend`).",
    means: "No step begins from then on until `Resumed`. Observations go on. `actor` is who did it.",
    evidence: &[
        ("reason", "the reason that the person gave"),
        ("until", "when it ends by itself; null: not before `resume`"),
    ],
};

const RESUMED: KindReference = KindReference {
    when: "A suspension ends: by `undrift resume`, or because its time has passed.",
    means: "Steps may begin again.",
    evidence: &[
        ("reason", "the reason of the suspension"),
        ("since", "when it began"),
        ("suspendedBy", "who began it"),
        ("passed", "whether its time has passed, so that nobody ended it"),
    ],
};

const RETRIED: KindReference = KindReference {
    when: "A person gives the object a new budget (`undrift retry`).",
    means: "What was given up is tried again.",
    evidence: &[("forgotten", "how many rows of the budget were forgotten")],
};

const MANIFEST_CHANGED: KindReference = KindReference {
    when: "undrift sees another spec of the object, finds that its manifest is gone, or that it is there again.",
    means: "Budgets of an earlier generation no longer count. An object whose manifest is gone is left alone, and its incident \
            ends.",
    evidence: &[
        ("generation", "the number of the spec, from 1"),
        ("specDigest", "SHA-256 of the spec"),
        ("removed", "true where the manifest is gone"),
        ("why", "why undrift takes it for gone"),
        ("restored", "true where it is there again"),
        ("manifest", "the file that declares it again"),
    ],
};

const STARTED: KindReference = KindReference {
    when: "`undrift run` begins.",
    means: "From then on the daemon observes. Between the last `Stopped`, or the last record, and this one nobody did.",
    evidence: &[("version", "undrift's version"), ("objects", "the objects that it manages")],
};

const STOPPED: KindReference = KindReference {
    when: "`undrift run` ends and can still write.",
    means: "Nobody observes from then on. A daemon that was killed leaves no such record.",
    evidence: &[("signal", "the signal that ended it"), ("reason", "the fault that ended it, in words")],
};

const TRAIL_LOST: KindReference = KindReference {
    when: "A trail begins in a state folder whose earlier trail is missing.",
    means: "Records are missing before this one. `audit verify` says `begun anew`.",
    evidence: &[("message", "what is left of the earlier state, in words")],
};

const ANCHORED: KindReference = KindReference {
    when: "An anchor (`run --anchor`) has accepted a checkpoint.",
    means: "Whoever rewrites the records up to this size can be found out by what the anchor has.",
    evidence: &[
        ("anchor", "the anchor; a URL without its path and query"),
        ("size", "how many records the checkpoint covers"),
        ("root", "the root of the tree over them, in base64"),
    ],
};

const ANCHOR_FAILED: KindReference = KindReference {
    when: "A checkpoint could not be delivered to an anchor that had accepted the one before: once, until it accepts one again.",
    means: "The records since the last `Anchored` are in no checkpoint of that anchor.",
    evidence: &[
        ("anchor", "the anchor; a URL without its path and query"),
        ("size", "how many records the checkpoint covers"),
        ("message", "why, in words"),
    ],
};
