//! The files for the platform's connection page name exactly the connector's settings.

#[test]
fn the_connection_page_names_the_settings_of_the_connector() {
    car_testkit::assert_connection_page::<fulfillment_connector::FulfillmentConnector>(
        include_str!("../../configurations/config.json"),
        include_str!("../../configurations/lang_en.json"),
    );
}
