//! Tests of the connector as a user runs it: the real binary, an AWS that answers, a real service.

mod changes;
mod configurations;
mod defects;
mod estate;
mod failures;
mod full;
mod moto;
mod policy;
mod support;
