//! The attribute's arguments.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, Ident, Lit, Meta, MetaNameValue, Result, Token};

/// Grants of the contract, so that a typing error is found by the compiler.
const GRANTS: [&str; 17] = [
    "relaying",
    "accept-recipients",
    "edit-recipients",
    "take-messages",
    "edit-reverse-path",
    "route",
    "quarantine",
    "overturn-denials",
    "credentials",
    "dns",
    "kv",
    "inject",
    "http",
    "tcp",
    "geo",
    "secret",
    "mail-auth",
];

/// Facts of the contract's `footprint`.
const FACTS: [&str; 7] = ["relaying", "remote-host", "reverse-path", "recipients", "message", "delivery", "skips"];

/// What the author wrote; nothing where nothing was written.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) name: Option<Expr>,
    pub(crate) version: Option<Expr>,
    pub(crate) description: Option<Expr>,
    pub(crate) config_schema: Option<Expr>,
    pub(crate) reads_notes: Vec<Expr>,
    pub(crate) reads_results: Vec<Expr>,
    pub(crate) needs: Vec<Expr>,
    pub(crate) footprint: Option<Footprint>,
}

/// `reads`, `writes` and `writes_notes`; `independent` is one with nothing in it.
#[derive(Default)]
pub(crate) struct Footprint {
    pub(crate) reads: Vec<Ident>,
    pub(crate) writes: Vec<Ident>,
    pub(crate) writes_notes: Vec<Expr>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        for argument in Punctuated::<Meta, Token![,]>::parse_terminated(input)? {
            match argument {
                Meta::NameValue(argument) => arguments.take(argument)?,
                Meta::List(list) if list.path.is_ident("footprint") => arguments.footprint = Some(list.parse_args()?),
                Meta::Path(path) if path.is_ident("footprint") => arguments.footprint = Some(Footprint::default()),
                other => return Err(unknown(other.path())),
            }
        }
        arguments.needs.iter().try_for_each(check_grant)?;
        Ok(arguments)
    }
}

impl Arguments {
    fn take(&mut self, argument: MetaNameValue) -> Result<()> {
        let key = argument.path.get_ident().map(ToString::to_string).unwrap_or_default();
        match key.as_str() {
            "name" => self.name = Some(argument.value),
            "version" => self.version = Some(argument.value),
            "description" => self.description = Some(argument.value),
            "config_schema" => self.config_schema = Some(argument.value),
            "reads_notes" => self.reads_notes = list(argument.value)?,
            "reads_results" => self.reads_results = list(argument.value)?,
            "needs" => self.needs = list(argument.value)?,
            _ => return Err(unknown(&argument.path)),
        }
        Ok(())
    }
}

impl Parse for Footprint {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut footprint = Self::default();
        for argument in Punctuated::<MetaNameValue, Token![,]>::parse_terminated(input)? {
            let key = argument.path.get_ident().map(ToString::to_string).unwrap_or_default();
            match key.as_str() {
                "reads" => footprint.reads = facts(argument.value)?,
                "writes" => footprint.writes = facts(argument.value)?,
                "writes_notes" => footprint.writes_notes = list(argument.value)?,
                _ => return Err(Error::new_spanned(argument.path, "expected one of reads, writes, writes_notes")),
            }
        }
        Ok(footprint)
    }
}

fn unknown(path: &syn::Path) -> Error {
    let known = "name, version, description, config_schema, reads_notes, reads_results, needs, footprint";
    Error::new_spanned(path, format!("expected one of {known}"))
}

/// Facts by name, as the flags that `wit-bindgen` makes of them.
fn facts(value: Expr) -> Result<Vec<Ident>> {
    let fact = |expr: Expr| match &expr {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if FACTS.contains(&text.value().as_str()) => {
            Ok(Ident::new(&text.value().to_uppercase().replace('-', "_"), text.span()))
        }
        other => Err(Error::new_spanned(other, format!("unknown fact, expected one of {}", FACTS.join(", ")))),
    };
    list(value)?.into_iter().map(fact).collect()
}

fn list(value: Expr) -> Result<Vec<Expr>> {
    match value {
        Expr::Array(ExprArray { elems, .. }) => Ok(elems.into_iter().collect()),
        other => Err(Error::new_spanned(other, "expected a list such as [\"a\", \"b\"]")),
    }
}

fn check_grant(grant: &Expr) -> Result<()> {
    match grant {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) if !GRANTS.contains(&text.value().as_str()) => {
            Err(Error::new_spanned(text, format!("unknown grant, expected one of {}", GRANTS.join(", "))))
        }
        _ => Ok(()),
    }
}
