//! The attribute's arguments.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, ExprArray, ExprLit, Lit, MetaNameValue, Result, Token};

/// Grants of the contract, so that a typing error is found by the compiler.
const GRANTS: [&str; 5] = ["relaying", "accept-recipients", "edit-recipients", "take-messages", "overturn-denials"];

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
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        for argument in Punctuated::<MetaNameValue, Token![,]>::parse_terminated(input)? {
            arguments.take(argument)?;
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
            _ => {
                let known = "name, version, description, config_schema, reads_notes, reads_results, needs";
                return Err(Error::new_spanned(argument.path, format!("expected one of {known}")));
            }
        }
        Ok(())
    }
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
