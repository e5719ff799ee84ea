"""The sample companies: an ERP and a CRM database to try the product on."""
