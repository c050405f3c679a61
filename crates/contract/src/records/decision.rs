//! Decisions on the wire.

use apache_avro::types::Value;
use upnext_common::decision::{DecidedItem, Decision};
use upnext_common::tier::{Reason as Why, Tier};

use crate::fields::Fields;
use crate::verdict::{Reason, Rejection};
use crate::wire::Out;

pub(crate) fn write(decision: &Decision, out: &mut Out) {
    out.text(&decision.decision_id)
        .long(decision.decided_at_ms)
        .optional_text(decision.user_id.as_deref())
        .optional_text(decision.anonymous_id.as_deref())
        .optional_text(decision.session_id.as_deref())
        .text(&decision.surface)
        .text(&decision.query)
        .text(decision.tier.name())
        .block(decision.reasons.iter(), |out, reason| {
            out.text(reason.name());
        })
        .optional_text(decision.model.as_deref())
        .text(&decision.feature_spec)
        .optional(decision.features_as_of_ms, |out, moment| {
            out.long(moment);
        })
        .bytes(&decision.user_state)
        .long(decision.took_us)
        .block(decision.candidates.iter(), write_item);
}

fn write_item(out: &mut Out, item: &DecidedItem) {
    out.text(&item.item_id)
        .int(item.rank)
        .float(item.score)
        .text(&item.source)
        .float(item.propensity)
        .bytes(&item.row);
}

pub(crate) fn read(value: Value) -> Result<Decision, Rejection> {
    let mut fields = Fields::of(value, "")?;
    Ok(Decision {
        decision_id: fields.text("decision_id")?,
        decided_at_ms: fields.moment_ms("decided_at")?,
        user_id: fields.optional_text("user_id")?,
        anonymous_id: fields.optional_text("anonymous_id")?,
        session_id: fields.optional_text("session_id")?,
        surface: fields.text("surface")?,
        query: fields.text("query")?,
        tier: read_tier(&fields.text("tier")?)?,
        reasons: read_reasons(&fields.texts("reasons")?)?,
        model: fields.optional_text("model")?,
        feature_spec: fields.text("feature_spec")?,
        features_as_of_ms: fields.optional_moment_ms("features_as_of")?,
        user_state: fields.bytes("user_state")?,
        took_us: fields.long("took_us")?,
        candidates: fields
            .records("candidates")?
            .iter_mut()
            .map(read_item)
            .collect::<Result<_, _>>()?,
    })
}

fn read_item(fields: &mut Fields) -> Result<DecidedItem, Rejection> {
    Ok(DecidedItem {
        item_id: fields.text("item_id")?,
        rank: fields.int("rank")?,
        score: fields.float("score")?,
        source: fields.text("source")?,
        propensity: fields.float("propensity")?,
        row: fields.bytes("row")?,
    })
}

fn read_tier(name: &str) -> Result<Tier, Rejection> {
    Tier::from_name(name)
        .ok_or_else(|| Rejection::new(Reason::Enum, "/tier", format!("`{name}` is not a tier")))
}

fn read_reasons(names: &[String]) -> Result<Vec<Why>, Rejection> {
    let find = |name: &String| {
        Why::ALL.into_iter().find(|reason| reason.name() == name).ok_or_else(|| {
            Rejection::new(Reason::Enum, "/reasons", format!("`{name}` is not a reason"))
        })
    };
    names.iter().map(find).collect()
}
