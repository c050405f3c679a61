//! Settings of topics, and the few of the broker, described and changed.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::incremental_alter_configs_request::AlterableConfig;
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementalResponse;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::code;
use crate::catalog::Settings;
use crate::catalog::setting::{SETTINGS, Shape};
use crate::node::{NODE_ID, Node, text};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const FROM_TOPIC: i8 = 1;
const FROM_STATIC_BROKER: i8 = 4;
const FROM_DEFAULT: i8 = 5;

pub(super) fn describe(node: &Node, request: DescribeConfigsRequest) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|resource| {
        let configs = match resource.resource_type {
            TOPIC => topic_settings(node, &resource),
            BROKER => broker_settings(node, &resource),
            _ => Err(ResponseError::InvalidRequest),
        };
        DescribeConfigsResult::default()
            .with_error_code(code(&configs))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
            .with_configs(configs.unwrap_or_default())
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

fn topic_settings(
    node: &Node,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ResponseError> {
    let settings = node.catalog.topic(&resource.resource_name)?.settings();
    let described = SETTINGS.iter().filter(|it| is_asked(resource, it.name)).map(|setting| {
        let value = settings.value(setting.name);
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(setting.name))
            .with_value(Some(text(value.unwrap_or(setting.default))))
            .with_config_source(if value.is_some() { FROM_TOPIC } else { FROM_DEFAULT })
            .with_config_type(config_type(setting.shape))
    });
    Ok(described.collect())
}

fn broker_settings(
    node: &Node,
    resource: &DescribeConfigsResource,
) -> Result<Vec<DescribeConfigsResourceResult>, ResponseError> {
    if *resource.resource_name != *NODE_ID.0.to_string() {
        return Err(ResponseError::InvalidRequest);
    }
    let config = &node.config;
    let settings = [
        ("auto.create.topics.enable", config.auto_create_topics.to_string()),
        ("fetch.max.bytes", config.fetch_bytes_max.to_string()),
        ("max.connections", config.connections_max.to_string()),
        ("num.partitions", config.default_partitions.to_string()),
        ("socket.request.max.bytes", config.request_bytes_max.to_string()),
    ];
    let asked = settings.into_iter().filter(|(name, _)| is_asked(resource, name));
    let described = asked.map(|(name, value)| {
        DescribeConfigsResourceResult::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(text(value)))
            .with_read_only(true)
            .with_config_source(FROM_STATIC_BROKER)
    });
    Ok(described.collect())
}

/// No keys means all.
fn is_asked(resource: &DescribeConfigsResource, name: &str) -> bool {
    let keys = resource.configuration_keys.as_ref();
    keys.is_none_or(|keys| keys.is_empty() || keys.iter().any(|key| **key == *name))
}

fn config_type(shape: Shape) -> i8 {
    match shape {
        Shape::Flag => 1,
        Shape::Word(_) | Shape::Text => 2,
        Shape::Number(_) => 5,
        Shape::Fraction => 6,
        Shape::Words(_) => 7,
    }
}

/// Replaces all settings of a topic: what is not named goes back to its default.
pub(super) fn replace(node: &Node, request: AlterConfigsRequest) -> AlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let change = |_: Settings| {
            let mut settings = Settings::default();
            for config in &resource.configs {
                match &config.value {
                    Some(value) => settings.set(&config.name, value)?,
                    None => settings.clear(&config.name)?,
                }
            }
            Ok(settings)
        };
        let topic = topic_named(resource.resource_type, &resource.resource_name);
        let altered =
            topic.and_then(|topic| node.catalog.alter(topic, request.validate_only, change));
        AlterConfigsResourceResponse::default()
            .with_error_code(code(&altered))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    AlterConfigsResponse::default().with_responses(responses.collect())
}

/// Changes the settings that are named and leaves the others.
pub(super) fn change(
    node: &Node,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let responses = request.resources.into_iter().map(|resource| {
        let change = |mut settings: Settings| {
            resource.configs.iter().try_for_each(|config| change_one(&mut settings, config))?;
            Ok(settings)
        };
        let topic = topic_named(resource.resource_type, &resource.resource_name);
        let altered =
            topic.and_then(|topic| node.catalog.alter(topic, request.validate_only, change));
        IncrementalResponse::default()
            .with_error_code(code(&altered))
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name)
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect())
}

fn change_one(settings: &mut Settings, config: &AlterableConfig) -> Result<(), ResponseError> {
    let value = config.value.as_ref().ok_or(ResponseError::InvalidConfig);
    match config.config_operation {
        0 => settings.set(&config.name, value?),
        1 => settings.clear(&config.name),
        2 => settings.change_words(&config.name, value?, false),
        3 => settings.change_words(&config.name, value?, true),
        _ => Err(ResponseError::InvalidRequest),
    }
}

/// Only topics can be changed; the broker's own settings are those it was started with.
fn topic_named(resource_type: i8, name: &str) -> Result<&str, ResponseError> {
    if resource_type == TOPIC { Ok(name) } else { Err(ResponseError::InvalidRequest) }
}
