//! The OpenAPI document (3.1), made of the table of routes and the types of the bodies.

use axum::response::Response;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::body::ok;
use crate::routes::{ROUTES, Route, Who};
use crate::{bindings, tenants, tokens};

pub(crate) async fn document() -> Response {
    ok(&openapi())
}

/// The document.
pub(crate) fn openapi() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.to_owned(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "wasmail", "version": env!("CARGO_PKG_VERSION"), "license": { "name": "MIT OR Apache-2.0" } },
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route) -> Value {
    let names = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let parameter = |name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } });
    let parameters: Vec<Value> = names.map(parameter).collect();
    let refused = json!({ "$ref": "#/components/schemas/Problem" });
    let mut operation = json!({
        "summary": route.what,
        "parameters": parameters,
        "responses": {
            "2XX": { "description": "It is so." },
            "default": { "description": "A refusal (RFC 9457).", "content": { "application/problem+json": { "schema": refused } } },
        },
    });
    if route.who != Who::Anybody {
        operation["security"] = json!([{ "token": [] }]);
        let who = if route.who == Who::Operator { "the operator" } else { "the operator and the tenant" };
        operation["description"] = json!(format!("For {who}."));
    }
    if let Some(body) = route.body {
        let kind = match body {
            "Component" => "application/wasm",
            "Octets" => "application/octet-stream",
            _ => "application/json",
        };
        let schema = json!({ "$ref": format!("#/components/schemas/{body}") });
        operation["requestBody"] = json!({ "required": true, "content": { kind: { "schema": schema } } });
    }
    operation
}

fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    add::<tenants::NewTenant>(&mut all, "NewTenant");
    add::<tenants::AlteredTenant>(&mut all, "AlteredTenant");
    add::<bindings::NewBinding>(&mut all, "NewBinding");
    add::<bindings::Altered>(&mut all, "AlteredBinding");
    add::<bindings::Wanted>(&mut all, "Version");
    add::<bindings::WantedRollout>(&mut all, "Rollout");
    add::<tokens::Wanted>(&mut all, "NewToken");
    for name in ["Component", "Octets"] {
        all.insert(name.to_owned(), json!({ "type": "string", "format": "binary" }));
    }
    let text = json!({ "type": "string" });
    let status = json!({ "type": "integer" });
    let properties = json!({ "type": text, "title": text, "status": status, "detail": text, "help": text });
    all.insert("Problem".to_owned(), json!({ "type": "object", "properties": properties }));
    all
}

fn add<T: JsonSchema>(all: &mut Map<String, Value>, name: &str) {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = SchemaGenerator::new(settings).into_root_schema_for::<T>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.remove("$schema");
    }
    all.insert(name.to_owned(), schema);
}
