//! Modules: taken while they stream in, examined, kept by their hash.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use data_encoding::BASE64;
use http_body_util::BodyExt;
use ring::signature::{ED25519, UnparsedPublicKey};
use wasmail_tenants::{Change, Draft, Module, ModuleHash, Refusal, StoreError, Tenant};

use crate::Shared;
use crate::body::{json_of, nothing, ok, page, too_large};
use crate::guard::Caller;
use crate::problem::{Answer, Problem};
use crate::works::Unacceptable;

/// An Ed25519 signature of the module's SHA-256 (its 64 hexadecimal digits), in base64.
const SIGNATURE: &str = "wasmail-signature";

pub(crate) async fn list(caller: Caller, State(shared): State<Shared>, Path(tenant): Path<String>) -> Answer {
    Ok(page(&shared.registry.modules(&caller.reads(&tenant)?).await?, None))
}

pub(crate) async fn get(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, hash)): Path<(String, String)>,
) -> Answer {
    let (tenant, hash): (_, ModuleHash) = (caller.reads(&tenant)?, hash.parse()?);
    Ok(ok(&shared.registry.module(&tenant, &hash).await?))
}

pub(crate) async fn delete(
    caller: Caller,
    State(shared): State<Shared>,
    Path((tenant, hash)): Path<(String, String)>,
) -> Answer {
    let (tenant, module): (_, ModuleHash) = (caller.writes(&tenant)?, hash.parse()?);
    shared.make(&caller.author(), Change::RemoveModule { tenant, module }).await?;
    Ok(nothing())
}

pub(crate) async fn upload(
    caller: Caller,
    State(shared): State<Shared>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let name = caller.writes(&tenant)?;
    let tenant = shared.registry.tenant(&name).await?;
    let _place = shared.uploads.acquire().await;
    let (draft, octets) = receive(&shared, body, tenant.quotas.module_size).await?;
    let (hash, size) = (draft.hash(), octets.len() as u64);
    let signer = signer(&tenant, &hash, &headers)?;
    has_room(&shared, &tenant, &hash).await?;
    let refused = |Unacceptable { what, help }| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not-acceptable", "This is no module for us", what)
            .with("help", help)
    };
    let examined = shared.works.examine(&tenant, octets).await.map_err(refused)?;
    // Not before: what is refused leaves nothing on the disk.
    draft.keep().map_err(|error| not_kept(&error))?;
    let module = Module {
        hash: hash.clone(),
        tenant: name.clone(),
        size,
        metadata: examined.metadata,
        hooks: examined.hooks,
        imports: examined.imports,
        needs: examined.needs,
        signer,
        uploader: caller.token().to_owned(),
        created: caller.at(),
    };
    shared.make(&caller.author(), Change::AddModule { module }).await?;
    Ok(json_of(StatusCode::CREATED, &shared.registry.module(&name, &hash).await?))
}

/// Writes a module down as it comes. One that is too large is not read to its end.
async fn receive(shared: &Shared, mut body: Body, most: u64) -> Result<(Draft<'_>, Vec<u8>), Problem> {
    let mut draft = shared.modules.draft(most).map_err(|error| not_kept(&error))?;
    let mut octets = Vec::new();
    while let Some(frame) = body.frame().await {
        let cut_off = |error: axum::Error| {
            Problem::new(StatusCode::BAD_REQUEST, "cut-off", "The body ended too early", error.to_string())
        };
        if let Ok(data) = frame.map_err(cut_off)?.into_data() {
            draft.push(&data).map_err(|error| not_kept(&error))?;
            octets.extend_from_slice(&data);
        }
    }
    Ok((draft, octets))
}

/// Whether the tenant may have one more: the registry says the same in the end, but by then it would lie on the disk.
async fn has_room(shared: &Shared, tenant: &Tenant, hash: &ModuleHash) -> Result<(), Problem> {
    let modules = shared.registry.modules(&tenant.name).await?;
    let most = tenant.quotas.modules;
    if modules.len() < most as usize || modules.iter().any(|module| module.hash == *hash) {
        return Ok(());
    }
    Err(Refusal::OverQuota { what: "modules", most: most.into() }.into())
}

fn not_kept(error: &StoreError) -> Problem {
    match error {
        StoreError::TooLarge(most) => too_large(*most),
        error => {
            tracing::error!(%error, "a module cannot be kept");
            Problem::broken("the module cannot be kept: the server's disk may be full")
        }
    }
}

/// Whose signature it has. A tenant with keys takes nothing that none of them has signed.
fn signer(tenant: &Tenant, hash: &ModuleHash, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let problem = |detail: String| {
        let kind = "not-signed";
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, kind, "The module's signature is not good", detail)
    };
    let Some(shown) = headers.get(SIGNATURE) else {
        let what = format!("one of the tenant's keys must sign the module's SHA-256: send it as `{SIGNATURE}`");
        return if tenant.signers.is_empty() { Ok(None) } else { Err(problem(what)) };
    };
    let signature = BASE64.decode(shown.as_bytes()).map_err(|_| problem(format!("`{SIGNATURE}` is no base64")))?;
    let is_by = |key: &&String| {
        let key = BASE64.decode(key.as_bytes()).unwrap_or_default();
        UnparsedPublicKey::new(&ED25519, key).verify(hash.as_str().as_bytes(), &signature).is_ok()
    };
    let found = tenant.signers.iter().find(is_by).cloned();
    found.map(Some).ok_or_else(|| problem("none of the tenant's keys made it".to_owned()))
}
