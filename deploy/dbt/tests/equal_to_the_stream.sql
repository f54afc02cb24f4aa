{{ config(enabled = var('compare_with_stream')) }}
-- Rows that the model has and the streamed view has not, or the other way round. Equal when the destination shows one
-- position of the source in both of its streams: write nothing to the source while it runs, and `cdc wait` before.
{% set columns = '"RentalId", "CustomerName", "Amount", "RentalDate", "Category", "PaymentId", "CategoryId"' %}
(
  SELECT 'only dbt' AS side, {{ columns }} FROM {{ ref('CustomerOrderFlat') }}
  EXCEPT ALL
  SELECT 'only dbt', {{ columns }} FROM {{ source('streamed', 'CustomerOrderFlat') }}
)
UNION ALL
(
  SELECT 'only streamed', {{ columns }} FROM {{ source('streamed', 'CustomerOrderFlat') }}
  EXCEPT ALL
  SELECT 'only streamed', {{ columns }} FROM {{ ref('CustomerOrderFlat') }}
)
