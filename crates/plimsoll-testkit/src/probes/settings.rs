//! Settings: invalid ones, and shadow mode.

use crate::stage::{Stage, call, finish};
use crate::{Request, Subject, Verdict};

/// Invalid settings are rejected by an error that states the valid values.
pub(super) fn invalid_settings(subject: &Subject) -> Verdict {
    let tried = (subject.invalid_settings)();
    if tried.is_empty() {
        return Verdict::Gap("the subject tries no invalid settings");
    }
    for setting in tried {
        let description = setting.description;
        let Some(error) = setting.error else { panic!("accepted: {description}") };
        assert!(error.contains(" must be "), "{description}: the valid values are missing in {error:?}");
    }
    Verdict::Holds
}

/// In shadow mode a saturated gate admits every request, and still reports the rejections.
pub(super) fn shadow(subject: &Subject) -> Verdict {
    let stage = Stage::new(subject, 1);
    let Some(shadow) = &stage.fixture.shadow else {
        return match stage.fixture.waits {
            true => Verdict::NotApplicable("shadow mode is for gates: it never waits"),
            false => Verdict::Gap("the fixture has no shadow"),
        };
    };
    let mut service = shadow(stage.inner.clone());
    stage.saturate();
    let (rejected, held) = (stage.counts().rejected, stage.held());
    for id in 0..5 {
        let result = finish(&mut call(&mut service, Request { id, ..Request::default() }));
        assert_eq!(result.expect("a request was rejected in shadow mode"), id);
    }
    assert!(stage.counts().rejected > rejected, "the rejections of shadow mode were not reported");
    assert_eq!(stage.held(), held);
    Verdict::Holds
}
