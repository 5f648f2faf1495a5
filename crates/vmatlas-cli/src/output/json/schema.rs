//! The schemas of the documents, made from their types; `docs/schema` keeps them.
//!
//! They are made in a test, so the command does not carry them.

use super::{Hex, MappingJson, Schema};
use crate::output::{
    access, all, at, audit, blame, diff, explain, life, machine_diff, overview, shared, show,
    verify, watch,
};
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::path::Path;
use vmatlas::{FIELDS, Field, FieldKind, FieldNeeds};

/// An address: a string.
const ADDRESS: &str = "^0x[0-9a-f]+$";

impl JsonSchema for Hex {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({ "type": "string", "pattern": ADDRESS })
    }
}

impl JsonSchema for Schema {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "SchemaVersion".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> schemars::Schema {
        json_schema!({ "type": "string", "const": Schema::word() })
    }
}

/// The fields of the table, and the entries that depend on the kind of mapping.
impl JsonSchema for MappingJson<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Mapping".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> schemars::Schema {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for field in FIELDS {
            let is_sized = field.needs == FieldNeeds::Sizes;
            let is_of_row = matches!(field.needs, FieldNeeds::Row | FieldNeeds::Names);
            if !(is_of_row || is_sized && (field.smaps_name().is_some() || field.is_sum())) {
                continue;
            }
            properties.insert(field.name.to_owned(), of_field(field));
            let is_of_file = matches!(field.name, "path" | "deleted" | "state");
            if is_of_row && !is_of_file {
                required.push(Value::from(field.name));
            }
        }
        for (name, schema) in [
            (
                "name_hex",
                json!({ "type": "string", "description": "the bytes of the name, if they are not UTF-8" }),
            ),
            (
                "path_hex",
                json!({ "type": "string", "description": "the bytes of the path, if they are not UTF-8" }),
            ),
            (
                "path_certain",
                json!({ "type": "boolean", "description": "whether a second source proves the path" }),
            ),
            ("tid", json!({ "type": "integer", "description": "the thread, of a thread-stack" })),
            (
                "anon_name",
                json!({ "type": "string", "description": "the name that the process gave" }),
            ),
            ("shm_key", json!({ "type": "integer" })),
            ("shm_id", json!({ "type": ["integer", "null"] })),
            (
                "origin",
                json!({ "type": "string", "description": "the call that mapped it, in one line; of recordings and logs" }),
            ),
            ("vm_flags", json!({ "type": "array", "items": { "type": "string" } })),
        ] {
            properties.insert(name.to_owned(), schema);
        }
        let sections = generator.subschema_for::<Vec<super::SectionJson<'_>>>();
        let label = generator.subschema_for::<super::LabelJson<'_>>();
        let parts = generator.subschema_for::<Vec<super::PartJson<'_>>>();
        for (name, schema) in [("sections", sections), ("label", label), ("parts", parts)] {
            properties.insert(name.to_owned(), schema.to_value());
        }
        // Kernels to come have fields of smaps that are not in the table.
        json_schema!({
            "type": "object",
            "description": "a mapping; sizes are in bytes",
            "properties": properties,
            "required": required,
            "additionalProperties": { "type": ["integer", "string"] },
        })
    }
}

fn of_field(field: &Field) -> Value {
    match field.kind {
        FieldKind::Address => json!({ "type": "string", "pattern": ADDRESS }),
        FieldKind::Bytes => json!({ "type": "integer", "minimum": 0 }),
        FieldKind::Number if field.name == "inode" => json!({ "type": ["integer", "null"] }),
        FieldKind::Number => json!({ "type": "integer", "minimum": 0 }),
        FieldKind::Flag => json!({ "type": ["boolean", "null"] }),
        _ if field.name == "device" => json!({ "type": ["string", "null"] }),
        _ => json!({ "type": "string" }),
    }
}

/// Closes objects to keys that are not listed, and adds the numbers that `--numbers` adds.
#[derive(Clone)]
struct Closed;

impl Transform for Closed {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        let Some(object) = schema.as_object_mut() else { return };
        let required = object.get("required").cloned().unwrap_or_default();
        let is_derived = !object.contains_key("additionalProperties");
        let Some(Value::Object(properties)) = object.get_mut("properties") else { return };
        // A key of a derived type that may be absent is absent rather than null.
        let is_required = |name: &String| {
            required.as_array().is_some_and(|keys| keys.iter().any(|key| key == name.as_str()))
        };
        let optional = properties.iter_mut().filter(|(name, _)| is_derived && !is_required(name));
        optional.for_each(|(_, schema)| forbid_null(schema));
        let is_address = |schema: &Value| {
            let pattern = schema.get("pattern");
            pattern.is_some_and(|pattern| *pattern == ADDRESS)
        };
        let addresses: Vec<String> = properties
            .iter()
            .filter(|(_, schema)| is_address(schema))
            .map(|(name, _)| format!("{name}_num"))
            .collect();
        for name in addresses {
            let number =
                json!({ "type": "integer", "minimum": 0, "description": "with --numbers" });
            properties.insert(name, number);
        }
        object.entry("additionalProperties").or_insert(Value::Bool(false));
    }
}

/// Takes null out of the values that a schema allows.
fn forbid_null(schema: &mut Value) {
    let null = json!({ "type": "null" });
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|one| one != "null");
        if let [only] = &types[..] {
            schema["type"] = only.clone();
        }
    }
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.retain(|one| *one != null);
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            let Some(object) = schema.as_object_mut() else { return };
            object.remove("anyOf");
            object.extend(only);
        }
    }
}

/// The schema of a document, as text.
fn text<T: JsonSchema>(title: &str) -> String {
    let settings = SchemaSettings::draft2020_12().for_serialize().with_transform(Closed);
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    format!("{text}\n")
}

/// The documents, by the names of their files.
fn schemas() -> Vec<(&'static str, String)> {
    vec![
        ("show", text::<show::document::ShowJson<'_>>("vmatlas show --json")),
        ("show-line", text::<show::document::LineJson<'_>>("a line of vmatlas show --ndjson")),
        ("all", text::<all::AllJson>("vmatlas all --json")),
        ("shared", text::<shared::SharedJson>("vmatlas shared --json")),
        ("audit", text::<audit::json::AuditJson>("vmatlas audit --json")),
        ("audit-rule", text::<audit::json::RuleJson>("vmatlas audit --explain RULE --json")),
        ("watch", text::<watch::WatchJson<'_>>("a line of vmatlas watch --ndjson")),
        ("processes", text::<overview::ProcessesJson>("vmatlas show --processes --json")),
        ("at", text::<at::AtJson<'_>>("vmatlas at --json")),
        ("diff", text::<diff::DiffJson<'_>>("vmatlas diff --json")),
        (
            "machine-diff",
            text::<machine_diff::MachineDiffJson>(
                "vmatlas diff --json of two snapshots of a machine",
            ),
        ),
        ("blame", text::<blame::json::BlameJson<'_>>("vmatlas blame --json")),
        ("lives", text::<life::LivesJson<'_>>("vmatlas blame RECORDING ADDR --json")),
        ("explain", text::<explain::Document<'_>>("vmatlas explain --json")),
        ("access", text::<access::AccessJson>("vmatlas access --json")),
        ("verify", text::<verify::ReportJson<'_>>("vmatlas verify --json")),
        ("error", text::<super::error::ErrorDocument<'_>>("an error with --json")),
    ]
}

/// `cargo xtask schema` sets the variable, which makes the test write the schemas.
const WRITE: &str = "VMATLAS_WRITE_SCHEMAS";

#[test]
fn docs_schema_holds_the_schemas_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/schema");
    for (name, schema) in schemas() {
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os(WRITE).is_some() {
            std::fs::create_dir_all(&folder).expect("docs/schema can be made");
            std::fs::write(&path, schema).expect("a schema can be written");
            continue;
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == schema, "{name}.json differs from the types: run cargo xtask schema");
    }
}
