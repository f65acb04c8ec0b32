-- The end of W's file, once W told it (CT08 result, CT06 refusal).
alter table requests
    add column file_closed_at timestamptz,
    add column file_closed_on date,
    add column file_form      text;
