//! Tests of the connector as a user runs it: the real binary, an AWS that answers, a real service.

mod configurations;
mod full;
mod moto;
mod policy;
mod support;
