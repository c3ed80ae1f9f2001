//! The parameters of a query, taken one by one and strictly: each at most once, none unknown.

use std::convert::Infallible;

use warp::Filter;

use super::problem::{Code, Problem};

/// A query's names and values.
pub(super) type Query = Vec<(String, String)>;

/// None when there is one that is none. It rejects nothing.
pub(super) fn query() -> impl Filter<Extract = (Option<Query>,), Error = Infallible> + Copy {
    warp::query().map(Some).or(warp::any().map(|| None)).unify()
}

/// The parameters that have not been taken yet.
pub(super) struct Parameters(Query);

impl Parameters {
    pub fn of(query: Option<Query>) -> Result<Self, Problem> {
        query.map(Self).ok_or_else(|| Problem::new(Code::FieldInvalid, "The query is none"))
    }

    pub fn take(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        let position = self.0.iter().position(|(present, _)| present == name);
        let value = position.map(|position| self.0.remove(position).1);
        if self.0.iter().any(|(present, _)| present == name) {
            return Err(Problem::new(Code::FieldDuplicate, format!("{name} may stand there once only")).with("field", name));
        }
        Ok(value)
    }

    pub fn required(&mut self, name: &'static str) -> Result<String, Problem> {
        let missing = || Problem::new(Code::FieldMissing, format!("{name} must be there, in the query")).with("field", name);
        self.take(name)?.ok_or_else(missing)
    }

    /// Refuses what nobody took, without repeating it; `known` says what there may be.
    pub fn finish(self, known: &str) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(Problem::new(Code::FieldUnknown, format!("The query may have {known}"))) }
    }
}
