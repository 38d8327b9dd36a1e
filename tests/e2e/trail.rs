//! What a project's trail tells of the steps that were taken.

use serde_json::Value;

use crate::support::Project;

impl Project {
    /// The trail, as a program would read it.
    pub(crate) fn trail(&self) -> Vec<Value> {
        let run = self.undrift(&["audit", "list", "-o", "json"]);
        run.json()["items"].as_array().unwrap().clone()
    }

    /// The kinds of step that were intended, in order.
    pub(crate) fn steps(&self) -> Vec<String> {
        let trail = self.trail();
        intents(&trail).iter().map(|intent| intent["step"].as_str().unwrap().to_owned()).collect()
    }

    /// How many of the builds the engine answered from its cache although their source had changed.
    ///
    /// `BuildKit` 20.10 does that now and then while several builds run side by side: it takes in the changed files, and
    /// calls the `COPY` of them `CACHED` all the same, so that the new image is the old one. undrift sees that the
    /// module is not in it and builds once more without the cache. Only a build without the cache is counted whose
    /// services the output of the build before calls so: anything else that makes undrift build twice is a fault.
    pub(crate) fn stale_builds(&self) -> usize {
        let trail = self.trail();
        let is = |record: &Value, kind: &str| record["step"] == "Build" && record["kind"] == kind;
        let uncached = |record: &&Value| is(record, "StepIntended") && record["evidence"]["noCache"] == true;
        let stale = trail.iter().filter(uncached).filter(|again| {
            let earlier = trail.iter().take_while(|record| record["seq"] != again["seq"]);
            let built = earlier.filter(|record| is(record, "StepFinished")).last();
            let output = built.map_or("", |record| record["evidence"]["output"].as_str().unwrap_or_default());
            let services = again["evidence"]["services"].as_array().unwrap();
            services.iter().all(|service| copy_was_cached(output, service.as_str().unwrap()))
        });
        stale.count()
    }

    /// The kinds of step that were intended, as if none of [`Self::stale_builds`] had been needed: without the builds past
    /// the cache, and without the second `Up` of those that brings what they built into service beside the first one's.
    pub(crate) fn steps_that_counted(&self) -> Vec<String> {
        if self.stale_builds() == 0 {
            return self.steps();
        }
        let trail = self.trail();
        let intents = intents(&trail);
        let is = |record: &Value, step: &str| record["step"] == step;
        let late = |at: usize| {
            let between = intents[..at].iter().rposition(|r| is(r, "Up")).map(|up| &intents[up + 1..at]);
            let built = between.is_some_and(|steps| {
                !steps.is_empty() && steps.iter().all(|r| is(r, "Build") && r["evidence"]["noCache"] == true)
            });
            is(intents[at], "Up") && built
        };
        let counted =
            (0..intents.len()).filter(|at| intents[*at]["evidence"]["noCache"] != true && !late(*at));
        counted.map(|at| intents[at]["step"].as_str().unwrap().to_owned()).collect()
    }

    /// Asserts that the trail is whole and every intent in it has an outcome.
    #[track_caller]
    pub(crate) fn assert_trail_is_whole(&self) {
        let run = self.undrift(&["audit", "verify", "--deep"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let trail = self.trail();
        let count =
            |kinds: &[&str]| trail.iter().filter(|r| kinds.contains(&r["kind"].as_str().unwrap())).count();
        assert_eq!(
            count(&["StepIntended"]),
            count(&["StepFinished", "StepInterrupted"]),
            "an intent is open"
        );
    }
}

/// Whether a build's output says that the copy of this service's source came from the cache.
fn copy_was_cached(output: &str, service: &str) -> bool {
    let of_service = format!(" [{service} ");
    let copies = output.lines().filter(|line| line.contains(&of_service) && line.ends_with("COPY src /src"));
    let numbers = copies.filter_map(|line| line.split(' ').next());
    numbers.into_iter().any(|number| output.lines().any(|line| line == format!("{number} CACHED")))
}

fn intents(trail: &[Value]) -> Vec<&Value> {
    trail.iter().filter(|record| record["kind"] == "StepIntended").collect()
}
