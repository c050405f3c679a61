//! A schema that ingest has never seen: ours and one optional field more, another one each time. Whoever reads what
//! stands under it has to ask the registry.

use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use serde_json::{Value, json};
use upnext_common::event::EventType;
use upnext_common::topic::Topic;
use upnext_contract::framing::frame;
use upnext_contract::{RegistryClient, schemas, unframe};

use crate::scene::PREFIX;

/// Of which events there are newer ones.
pub(crate) const KIND: EventType = EventType::ItemViewed;
const BOUND: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(50);

/// Registers the `number`th of them, once the registry answers, and gives its id.
///
/// # Errors
/// When it does not answer, or refuses.
pub(crate) async fn register(registry: &RegistryClient, number: u64) -> anyhow::Result<u32> {
    let own = schemas::of_event(KIND);
    let subject = schemas::subject_of(&Topic::Events.name(PREFIX), own.full_name);
    let text = text(own.text, number)?;
    let registered = async {
        loop {
            match registry.register(&subject, &text).await {
                Err(error) if error.fault().may_retry() => tokio::time::sleep(PAUSE).await,
                registered => return registered,
            }
        }
    };
    let registered = tokio::time::timeout(BOUND, registered).await;
    Ok(registered.context("the registry does not answer")??)
}

fn text(own: &str, number: u64) -> anyhow::Result<String> {
    let mut schema: Value = serde_json::from_str(own)?;
    let fields = schema["fields"].as_array_mut().context("a schema has fields")?;
    let doc = "What only a newer producer knows of.";
    let field = json!({ "name": format!("newer_{number}"), "doc": doc, "type": ["null", "string"], "default": null });
    fields.push(field);
    Ok(schema.to_string())
}

/// What stands under our schema, under the newer one of this id: its last field says null.
///
/// # Errors
/// When `value` has no frame.
pub(crate) fn reframed(value: &[u8], id: u32) -> anyhow::Result<Bytes> {
    let (_, content) = unframe(value)?;
    Ok(frame(id, &[content, b"\0"].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_has_one_field_more() {
        let own = schemas::of_event(KIND).text;
        let count = |text: &str| {
            let schema: Value = serde_json::from_str(text).unwrap();
            schema["fields"].as_array().unwrap().len()
        };
        let (first, second) = (text(own, 1).unwrap(), text(own, 2).unwrap());
        assert_eq!(count(&first), count(own) + 1);
        assert_ne!(first, second);
        assert_eq!(reframed(&frame(7, b"abc"), 9).unwrap(), frame(9, b"abc\0"));
        assert!(reframed(b"x", 9).is_err());
    }
}
