//! A refused submit made whole: the ward sends what changes, and which refused submit it changes.
//!
//! ```text
//! refused:  {"kind": "temp_residence", …, "home": {"name": "Ngọc Hà", "province": "Hà Nội"}}
//! changes:  {"resubmits": "<its message-id>", "home": {"name": null, "province": null, "code": "00008", "as_of": …}}
//! whole:    {"kind": "temp_residence", …, "home": {"code": "00008", "as_of": …}, "resubmits": …}
//! ```
//!
//! The whole is the JSON merge patch (RFC 7396) of the refused body with the changes: objects merge,
//! `null` takes out, all else replaces. It is read and judged as any submit.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use crate::decode;
use crate::receipt::Refusal;
use crate::refusal::RefusalCode;
use crate::values::MsgId;

/// The field that says which refused submit is meant.
const RESUBMITS: &str = "resubmits";

/// What changes of a refused submit.
#[derive(Clone, PartialEq, Eq)]
pub struct Changes {
    /// The message-id of the refused submit.
    pub of: MsgId,
    fields: Map<String, Value>,
}

/// The fields may be a person's.
impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("of", &self.of).finish_non_exhaustive()
    }
}

impl Changes {
    /// Reads the body of a submit. None if it stands alone, and of what cannot be read at all:
    /// [`decode::command`] says why.
    pub fn read(body: &[u8]) -> Result<Option<Self>, Refusal> {
        #[derive(Deserialize)]
        struct Peek {
            #[serde(default)]
            resubmits: Option<IgnoredAny>,
        }
        if serde_json::from_slice::<Peek>(body).ok().and_then(|peek| peek.resubmits).is_none() {
            return Ok(None);
        }
        let mut fields: Map<String, Value> = decode::read(body)?;
        let of = fields.remove(RESUBMITS).map(serde_json::from_value).and_then(Result::ok);
        let of = of.ok_or_else(|| Refusal {
            detail: Some("expected a UUID of version 7: the message-id of the refused submit".to_owned()),
            ..RefusalCode::FieldInvalid.at("/resubmits")
        })?;
        Ok(Some(Self { of, fields }))
    }

    /// The body of a whole submit: the refused one's with these changes.
    pub fn made_whole(&self, refused: &[u8]) -> Result<Vec<u8>, Refusal> {
        let Ok(Value::Object(mut whole)) = serde_json::from_slice(refused) else {
            return Err(RefusalCode::ResubmitUnreadable.refusal());
        };
        merge(&mut whole, &self.fields);
        whole.insert(RESUBMITS.to_owned(), self.of.to_string().into());
        Ok(Value::Object(whole).to_string().into_bytes())
    }
}

/// JSON merge patch, RFC 7396, of one object into another. A crate for these lines would bring more.
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => _ = target.remove(name),
            Value::Object(patch) => {
                let slot = target.entry(name.clone()).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(target) = slot {
                    merge(target, patch);
                }
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The schema of a submit that stands alone, and of one that makes a refused one whole: there every
/// field may be left out, of objects within it too, and be `null`.
pub(crate) fn schema_of_both(whole: &Value) -> Value {
    let mut whole = whole.clone();
    let mut defs = whole.get("$defs").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut made = Map::new();
    let mut changes = all_optional(&whole, &defs, &mut made);
    changes["description"] = "The changes of a refused submit of your own (JSON merge patch, RFC 7396).".into();
    changes["required"] = Value::Array(vec![RESUBMITS.into()]);
    changes["properties"][RESUBMITS] = serde_json::json!({
        "description": "The message-id of the refused submit that this one makes whole.", "$ref": "#/$defs/MsgId",
    });
    let mut both = serde_json::json!({
        "$schema": whole["$schema"], "title": "Submit", "description": whole["description"],
        "anyOf": [{ "$ref": "#/$defs/Whole" }, { "$ref": "#/$defs/Changes" }],
    });
    for name in ["$schema", "$defs", "title"] {
        if let Value::Object(whole) = &mut whole {
            whole.remove(name);
        }
    }
    whole["description"] = "A submit that stands alone.".into();
    whole["properties"][RESUBMITS] = serde_json::json!({ "type": "null" });
    made.insert("Whole".to_owned(), whole);
    made.insert("Changes".to_owned(), changes);
    defs.append(&mut made);
    both["$defs"] = Value::Object(defs);
    both
}

/// An object's schema in which nothing is needed; those of objects within it go into `made`.
fn all_optional(object: &Value, defs: &Map<String, Value>, made: &mut Map<String, Value>) -> Value {
    let mut out = serde_json::json!({ "type": "object", "additionalProperties": false, "properties": {} });
    for (name, property) in object["properties"].as_object().into_iter().flatten() {
        let choices = property["anyOf"].as_array();
        let reference = choices.map_or(property, |choices| &choices[0])["$ref"].as_str();
        let within = reference.and_then(|r| r.strip_prefix("#/$defs/")).unwrap_or_default();
        let mut changed = if let Some(within_schema) = defs.get(within).filter(|def| def["type"] == "object") {
            let optional = all_optional(within_schema, defs, made);
            made.insert(format!("{within}Changes"), optional);
            serde_json::json!({ "anyOf": [{ "$ref": format!("#/$defs/{within}Changes") }, { "type": "null" }] })
        } else if choices.is_some() || property["type"].is_array() {
            property.clone()
        } else {
            let mut alone = property.clone();
            if let Value::Object(alone) = &mut alone {
                alone.remove("description");
            }
            serde_json::json!({ "anyOf": [alone, { "type": "null" }] })
        };
        changed["description"] = property["description"].clone();
        out["properties"][name] = changed;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_merge_and_null_takes_out_as_in_rfc_7396() {
        // The table of its appendix A, as far as it is about objects.
        for (target, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({"a": "foo"}), json!({"a": {"b": "bar"}}), json!({"a": {"b": "bar"}})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let (Value::Object(mut whole), Value::Object(patch)) = (target, patch) else { unreachable!() };
            merge(&mut whole, &patch);
            assert_eq!(Value::Object(whole), result);
        }
    }

    #[test]
    fn changes_name_what_they_change() {
        let id = "019a9a3c-5800-7abc-8def-0123456789ab";
        let read = |body: Value| Changes::read(body.to_string().as_bytes());
        assert_eq!(read(json!({ "kind": "temp_residence" })), Ok(None));
        assert_eq!(read(json!({ "kind": "temp_residence", "resubmits": null })), Ok(None));
        assert_eq!(Changes::read(b"{"), Ok(None), "others say why");
        let changes = read(json!({ "resubmits": id, "note": "x" })).unwrap().unwrap();
        assert_eq!(changes.of.to_string(), id);
        assert!(!format!("{changes:?}").contains("note"), "{changes:?}");
        for wrong in [json!("TT-2026-1"), json!(7), json!({ "id": id })] {
            let refusal = read(json!({ "resubmits": wrong })).unwrap_err();
            assert_eq!((refusal.code.as_str(), refusal.pointer.as_str()), ("field_invalid", "/resubmits"));
        }
        let whole = changes.made_whole(br#"{"note": "y", "lane": "bulk", "resubmits": "an older one"}"#).unwrap();
        let whole: Value = serde_json::from_slice(&whole).unwrap();
        assert_eq!(whole, json!({ "note": "x", "lane": "bulk", "resubmits": id }));
        for unreadable in [&b"[]"[..], b"\xff", b""] {
            assert_eq!(changes.made_whole(unreadable).unwrap_err().code, "resubmit_unreadable");
        }
    }
}
